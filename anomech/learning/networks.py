"""What is asked of a network of one's own: its head, its features, its gradient in the pixels."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.errors import ModelError
from anomech.learning.pixels import planes


def last_linear(network: nn.Module) -> nn.Linear:
    """The last linear layer in the order the network lists its modules.

    Raises:
        ModelError: there is none.
    """
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise ModelError(
            "the network has no linear layer, and what goes into the last one is needed; "
            "choose an architecture that ends in one, or another method."
        )
    return linears[-1]


def with_features(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """One call of a network.

    Returns:
        Logits `[batch, classes]` and the input of the last linear layer `[batch, features]`, both
        in float32 and differentiable.
    """
    caught: list[Tensor] = []
    handle = last_linear(network).register_forward_pre_hook(
        lambda module, inputs: caught.append(inputs[0].flatten(1))
    )
    try:
        logits = network(images)
    finally:
        handle.remove()
    return logits.float(), caught[-1].float()


def input_gradient(network: nn.Module, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Gradient of the summed cross-entropy to `labels` in the pixels, float32 `[n, h, w, c]`.

    Args:
        network: in evaluation mode, on any device; it is not changed.
        images: uint8 or float `[n, h, w, c]` on the 0-255 scale.
        labels: int64 `[n]`.
    """
    device = next(network.parameters()).device
    inputs = planes(images, device).requires_grad_()
    with torch.enable_grad():
        logits = network(inputs)
        targets = torch.from_numpy(labels).to(device)
        loss = functional.cross_entropy(logits.float(), targets, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
    return gradient.permute(0, 2, 3, 1).cpu().numpy()
