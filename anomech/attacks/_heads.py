"""The last linear layer of a network, and what goes into it."""

from torch import Tensor, nn

from anomech.kernel.errors import ModelError


def last_linear(network: nn.Module) -> nn.Linear:
    """The last linear layer in the order the network lists its modules.

    Raises:
        ModelError: there is none.
    """
    linears = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise ModelError(
            "the network has no linear layer, and this attack works on what goes into the last "
            "one; choose an architecture that ends in one, or another attack."
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
