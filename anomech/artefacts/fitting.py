"""Weights into a model: names that fit, or a sentence that says what would.

Files name the same tensors in several ways: a training script puts `model.` before all of them, an
older library calls a weight `gamma`. A way of naming is used if under it every tensor of the model
is found, with its shape, and no other way does so; it is noted. Otherwise the nearest is suggested.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from anomech.artefacts.stored import shown
from anomech.kernel.errors import ModelError

RENAMED = (
    (".gamma", ".weight"),
    (".beta", ".bias"),
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)
"""Endings of names in files of earlier libraries, and what they are called today."""

MAX_PREFIXES = 50
"""Beginnings of names that are tried."""

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Naming:
    """A way of naming.

    Attributes:
        state: the tensors under the names that the model would know.
        note: what was done, as a sentence.
        hint: what to do, as the end of a sentence.
    """

    state: State
    note: str
    hint: str


def apply_state(model: nn.Module, state: State) -> tuple[str, ...]:
    """Copy weights into a model that was built for them.

    Counters of seen batches (`num_batches_tracked`) may be missing, as in old checkpoints.

    Returns:
        Sentences on what was renamed, left out or cast.

    Raises:
        ModelError: names or shapes do not match the model's, or a weight is not finite.
    """
    own = model.state_dict()
    if any(is_lazy(tensor) for tensor in own.values()):
        raise ModelError(
            "The model has lazy layers whose shapes are not known yet; run it once on an example "
            "before it is returned."
        )
    notes: list[str] = []
    hint = ""
    if not _fits(own, state):
        namings = list(_namings(own, state))
        fitting = [each for each in namings if _fits(own, each.state)]
        if len(fitting) == 1:
            state = fitting[0].state
            notes.append(fitting[0].note)
        else:
            hint = _hint(own, state, fitting, namings)
    _check(own, state, hint)
    notes += _casts(own, state)
    model.load_state_dict(dict(state), strict=False)
    return tuple(notes)


def _fits(own: State, state: State) -> bool:
    """Whether names and shapes are the model's."""
    return all(
        name in state and state[name].shape == tensor.shape
        for name, tensor in own.items()
        if not _optional(name)
    ) and all(name in own for name in state)


def _optional(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _namings(own: State, state: State) -> Iterable[Naming]:
    """Other ways of naming: with today's endings, without a beginning or with one, or both."""
    yield from _moved(own, state)
    renamed = {_today(name, own): tensor for name, tensor in state.items()}
    if len(renamed) == len(state) and [*renamed] != [*state]:
        note = "Tensors were renamed from what earlier libraries call them (gamma is weight now)."
        hint = "rename them: gamma to weight, beta to bias"
        yield Naming(renamed, note, hint)
        for each in _moved(own, renamed):
            yield Naming(each.state, f"{each.note} {note}", f"{each.hint} and {hint}")


def _moved(own: State, state: State) -> Iterable[Naming]:
    for prefix in _prefixes(state):
        yield _without(state, prefix)
    for prefix in _prefixes(own):
        longer = {prefix + name: tensor for name, tensor in state.items()}
        note = f"'{shown(prefix)}' was put before every name, as the model has it."
        yield Naming(longer, note, f"put '{shown(prefix)}' before every name")


def _today(name: str, own: State) -> str:
    for old, new in RENAMED:
        if name.endswith(old) and name not in own:
            return name.removesuffix(old) + new
    return name


def _prefixes(state: State) -> Sequence[str]:
    """Beginnings of names up to a dot, at most three pieces deep, the most frequent first."""
    counts: dict[str, int] = {}
    for name in state:
        pieces = name.split(".", 4)[:4]
        for depth in range(1, len(pieces)):
            prefix = ".".join(pieces[:depth]) + "."
            counts[prefix] = counts.get(prefix, 0) + 1
    return sorted(counts, key=lambda prefix: -counts[prefix])[:MAX_PREFIXES]


def _without(state: State, prefix: str) -> Naming:
    inside = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    others = [name for name in state if not name.startswith(prefix)]
    note = f"The weights were taken from under '{shown(prefix)}'"
    if others:
        some = ", ".join(shown(name, 40) for name in others[:3])
        note += f"; {len(others)} other tensors of the file were left out ({some})"
    return Naming(inside, note + ".", f"take those under '{shown(prefix)}'")


def _hint(own: State, state: State, fitting: list[Naming], namings: list[Naming]) -> str:
    """What to do about names that do not fit."""
    if fitting:
        ways = " or ".join(each.hint for each in fitting[:3])
        return f"several namings fit: {ways}; choose with --weights-key"

    wanted = [name for name in own if not _optional(name)]

    def found(each: State) -> int:
        return sum(name in each and each[name].shape == own[name].shape for name in wanted)

    best = max(namings, key=lambda each: found(each.state), default=None)
    if best is None or found(best.state) <= found(state):
        return ""
    return f"{found(best.state)} of the model's {len(wanted)} would fit if you {best.hint}"


def _check(own: State, state: State, hint: str) -> None:
    """Refuse weights that are not the model's."""
    remedy = hint or "build the model that the checkpoint is for"
    missing = [name for name in own if name not in state and not _optional(name)]
    _refuse(missing, "tensors of the model are missing in the checkpoint", remedy)
    unexpected = [name for name in state if name not in own]
    _refuse(unexpected, "tensors of the checkpoint are not in the model", remedy)
    misshaped = [
        f"{name} is {list(tensor.shape)}, the model's {list(own[name].shape)}"
        for name, tensor in state.items()
        if tensor.shape != own[name].shape
    ]
    _refuse(misshaped, "tensors of the checkpoint have other shapes", remedy)
    mistyped = [
        f"{name} is {tensor.dtype}, the model's {own[name].dtype}"
        for name, tensor in state.items()
        if tensor.is_floating_point() != own[name].is_floating_point() or tensor.is_complex()
    ]
    _refuse(mistyped, "tensors of the checkpoint have other types", remedy)
    spoiled = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not _finite(tensor.to(own[name].dtype))
    ]
    _refuse(spoiled, "tensors of the checkpoint hold NaN or infinite weights", "get it again")


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor if tensor.element_size() > 1 else tensor.float()).all())


def _refuse(names: Sequence[str], what: str, remedy: str) -> None:
    if names:
        some = ", ".join(shown(str(name)) for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ModelError(f"{len(names)} {what} ({some}{more}); {remedy}.")


def _casts(own: State, state: State) -> list[str]:
    """A sentence for each change of number type."""
    pairs = {
        (tensor.dtype, own[name].dtype)
        for name, tensor in state.items()
        if tensor.is_floating_point() and tensor.dtype != own[name].dtype
    }
    return [
        f"Weights of {_plain(stored)} are judged as {_plain(used)}, the type of the model."
        for stored, used in sorted(pairs, key=str)
    ]


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
