"""Units that can be silenced, found by running a network and seeing what is given to what."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.roles.task import Units

OPERATIONS = (nn.Linear, nn.modules.conv._ConvNd)
NORMALIZATIONS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass
class _Call:
    """One call of a module: what went in and what came out, kept so that no other is taken for it.

    Attributes:
        name: of the module.
        module: it.
        inside: its first input.
        out: its output.
    """

    name: str
    module: nn.Module
    inside: Any
    out: Any


def units_of(network: nn.Module, run: Callable[[], object], head: tuple[str, ...]) -> list[Units]:
    """Units of the modules that a pass goes through, in its order.

    Args:
        network: in evaluation mode.
        run: runs it.
        head: names of the parameters that make the answers; their units are left out. Where they
            are not known, the last linear operation is taken for them.
    """
    calls = _calls(network, run)
    followed: dict[int, _Call] = {}
    for call in calls:
        if isinstance(call.module, NORMALIZATIONS):
            before = _made_by(call.inside, calls)
            if before is not None and _once(call, calls) and _once(before, calls):
                followed[id(before)] = call
    norms = {id(call) for call in followed.values()}
    last = [call for call in calls if isinstance(call.module, OPERATIONS)][-1:]
    answering = set(head) or {f"{call.name}.weight" for call in last}
    found: dict[str, Units] = {}
    for call in calls:
        if id(call) in norms or call.name in found:
            continue
        made = _units(call, followed.get(id(call)))
        if made is not None and not {made.gain, made.weight} & answering:
            found[call.name] = made
    return list(found.values())


def _calls(network: nn.Module, run: Callable[[], object]) -> list[_Call]:
    """Calls of operations and normalizations, in the order of the pass."""
    calls: list[_Call] = []
    handles = []
    for name, module in network.named_modules():
        if not name or not isinstance(module, (*OPERATIONS, *NORMALIZATIONS)):
            continue

        def note(module: nn.Module, given: tuple[Any, ...], out: Any, name: str = name) -> None:
            calls.append(_Call(name, module, given[0] if given else None, out))

        handles.append(module.register_forward_hook(note))
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _made_by(value: Any, calls: list[_Call]) -> _Call | None:
    """The operation whose very output this is."""
    for call in calls:
        if call.out is value and isinstance(call.module, OPERATIONS):
            return call
    return None


def _once(call: _Call, calls: list[_Call]) -> bool:
    return sum(other.module is call.module for other in calls) == 1


def _units(call: _Call, norm: _Call | None) -> Units | None:
    """The units of an operation and the normalization after it; None if they have no gain."""
    owner = norm or call
    gain = _own(owner.module, "weight")
    if gain is None:
        return None
    made = isinstance(call.module, OPERATIONS) and _own(call.module, "weight") is not None
    scaling = isinstance(owner.module, _BatchNorm) and owner.module.running_var is not None
    return Units(
        place=owner.name,
        gain=f"{owner.name}.weight",
        shift=f"{owner.name}.bias" if _own(owner.module, "bias") is not None else "",
        weight=f"{call.name}.weight" if made else "",
        variance=f"{owner.name}.running_var" if scaling else "",
        epsilon=float(getattr(owner.module, "eps", 0.0)),
        count=len(gain),
    )


def _own(module: nn.Module, name: str) -> Tensor | None:
    """A parameter that the module holds itself, such as no computed weight."""
    own = dict(module.named_parameters(recurse=False)).get(name)
    if own is None or (isinstance(module, nn.LayerNorm) and own.ndim > 1):
        return None
    if isinstance(module, nn.modules.conv._ConvTransposeNd):
        return None  # its rows are its inputs
    return own
