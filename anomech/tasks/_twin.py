"""A twin of a network: its own modules, modes and hooks, but the tensors of the original.

The user's network is never touched. Wrappers that only change where or how it runs are taken off,
because hooks and overlays must reach the modules inside.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from anomech.kernel.errors import ModelError, answered
from anomech.kernel.types import Overlay

WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
}
"""Modules that only wrap another, of torch itself, and where they keep it."""


def twin(
    model: nn.Module, device: torch.device | None, dtype: torch.dtype | None = torch.float32
) -> nn.Module:
    """A copy of the module tree that shares parameter and buffer tensors, without gradients.

    What cannot be copied, such as a lock, is shared.

    Args:
        model: it is not changed.
        device: of the copy; None leaves every tensor where it is.
        dtype: of its floating-point tensors; float32 is exact for float16 and bfloat16. None
            leaves them as they are.

    Raises:
        ModelError: a tensor holds no values, or the modules cannot be copied or watched.
    """
    model = unwrapped(model)
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise ModelError(
            "the model is TorchScript, whose layers cannot be watched; build it from its Python "
            "code and load the weights of the script's state_dict."
        )
    memo: dict[int, Any] = {}
    for name, parameter in model.named_parameters():
        shared = nn.Parameter(_moved(name, parameter, device, dtype), requires_grad=False)
        memo[id(parameter)] = shared
    for name, buffer in model.named_buffers():
        memo[id(buffer)] = _moved(name, buffer, device, dtype)
    for module in model.modules():
        for name, value in vars(module).items():
            # Such as the weight that weight normalization computes anew before every call.
            if isinstance(value, Tensor) and value.grad_fn is not None:
                memo[id(value)] = _moved(name, value, device, dtype)
    return _inside_unwrapped(_copied(model, memo))


def overlaid(
    model: nn.Module,
    device: torch.device | None,
    overlay: Overlay,
    dtype: torch.dtype | None = torch.float32,
) -> nn.Module:
    """A twin with other tensors laid over it for good."""
    other = twin(model, device, dtype)
    named = dict(other.named_parameters()) | dict(other.named_buffers())
    for name, tensor in overlay.items():
        named[name].data = tensor.detach().to(named[name])
    return other


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside wrappers that only say where or how it runs."""
    while (inside := _inside(model)) is not None:
        model = inside
    return model


def converted(model: nn.Module) -> str:
    """The precision of parameters that a twin has in float32 instead; empty if there is none."""
    found = {p.dtype for p in model.parameters() if p.is_floating_point()} - {torch.float32}
    return " and ".join(sorted(str(each).removeprefix("torch.") for each in found))


def _inside(model: nn.Module) -> nn.Module | None:
    kind = type(model)
    place = WRAPPERS.get(kind.__name__) if kind.__module__.startswith("torch.") else None
    inside = getattr(model, place, None) if place else None
    return inside if isinstance(inside, nn.Module) else None


def _inside_unwrapped(model: nn.Module) -> nn.Module:
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if _inside(child) is not None:
                setattr(module, name, unwrapped(child))
    return model


def _moved(
    name: str, tensor: Tensor, device: torch.device | None, dtype: torch.dtype | None
) -> Tensor:
    if tensor.is_meta:
        raise ModelError(
            f"the model's tensor '{name}' is on the meta device, so it has a shape and no values; "
            "build the model on the CPU and load its weights."
        )
    tensor = tensor.detach()
    kept = tensor.dtype if dtype is None or not tensor.is_floating_point() else dtype
    return tensor.to(device or tensor.device, kept)


def _copied(model: nn.Module, memo: dict[int, Any]) -> nn.Module:
    try:
        return _deep(model, dict(memo))
    except ModelError:  # whatever a user's attribute raises, it may still be shared
        return _deep(model, memo | _uncopied(model, memo))


def _deep(value: Any, memo: dict[int, Any]) -> Any:
    """A deep copy, which runs code of the copied when it says how it is copied."""
    return answered(
        lambda: copy.deepcopy(value, memo),
        lambda what: ModelError(
            f"the model cannot be copied ({what}), and the original must not be changed; keep what "
            "cannot be copied out of its modules."
        ),
    )


def _uncopied(model: nn.Module, memo: dict[int, Any]) -> dict[int, Any]:
    """Attributes of modules that cannot be copied, as a memo that shares them."""
    known = vars(nn.Module())
    shared = {}
    for module in model.modules():
        for name, value in vars(module).items():
            if name in known:
                continue
            try:
                _deep(value, dict(memo))
            except ModelError:
                shared[id(value)] = value
    return shared
