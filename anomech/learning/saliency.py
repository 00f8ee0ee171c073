"""Where in a picture an answer comes from: Grad-CAM by captum, at the last map of the network."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.errors import CapabilityError
from anomech.roles.task import Layers, Pictures, Task, able


def salient(task: Task, batch: Any, answers: Tensor) -> Tensor:
    """How much each pixel speaks for the answer, float32 `[batch, h, w]`, at least 0.

    Source: Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra 2017 (Grad-CAM).

    Args:
        task: of pictures, with layers.
        batch: as the task loads it.
        answers: to be explained `[batch]`, indices of logits.

    Raises:
        CapabilityError: captum is not installed, or no layer gives a map `[batch, c, h, w]`.
    """
    try:
        from captum.attr import LayerGradCam
    except ImportError:
        raise CapabilityError(
            "salience maps are made by captum, which is not installed; pip install "
            "'anomech[explain]'."
        ) from None
    space = able(task, Pictures)

    def logits(points: Tensor) -> Tensor:
        given = space.respond_at({}, points, batch, answers).logits
        assert given is not None, "pictures are answered by logits"
        return given

    points = space.embed(batch).detach()
    answers = answers.to(points.device)
    maps = LayerGradCam(logits, last_map(task, points, batch, answers))
    with torch.enable_grad():
        small = maps.attribute(points.requires_grad_(), target=answers, relu_attributions=True)
    size = points.shape[2:]
    return functional.interpolate(small.detach(), size, mode="bilinear")[:, 0]


def last_map(task: Task, points: Tensor, batch: Any, answers: Tensor) -> nn.Module:
    """The last layer of the network that gives a map with more than one place.

    Raises:
        CapabilityError: there is none.
    """
    found: list[nn.Module] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            found.append(module)

    modules = [module for name, module in able(task, Layers).layers().items() if name]
    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        with torch.no_grad():
            able(task, Pictures).respond_at({}, points, batch, answers)
    finally:
        for hook in hooks:
            hook.remove()
    if not found:
        raise CapabilityError(
            "salience maps need a layer that gives a map of the picture, and this network has "
            "none that is watched."
        )
    return found[-1]
