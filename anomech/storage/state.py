"""Fitted state as a value: tensors by dotted name, and facts that JSON can hold.

What a method has learned is a frozen dataclass, and the annotations of its fields say what each of
them is. `pack` follows them down to tensors and facts, `unpack` builds the same classes again. A
file of such state never names a class: reading it runs nothing, and makes nothing but what the
annotations of a known class allow. A `Learned` names a method of the registry, as a plan would.

Fields may be tensors, arrays, numbers, texts, truth values, slices, tuples and sequences, mappings
by text or integer, dataclasses and named tuples of such fields, options, what another method has
learned, and any of these or None.
What is not saved but given again, such as the task, is named by its annotation in `Links`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import build, resolved
from anomech.kernel.errors import CapabilityError, ConfigError, DataError
from anomech.kernel.plugins import described, make

Links = Mapping[Any, Sequence[Any]]
"""By annotation the objects that stand for themselves: saved is only which of them it is, and it
must be given again. Of an annotation with none of them nothing is saved, and None comes back."""

PLAIN = (bool, int, float, str)

DAMAGE = (AttributeError, LookupError, TypeError, ValueError, RuntimeError)
"""What is raised where facts or tensors are not of the form that was written."""


@dataclass(frozen=True)
class Learned:
    """What a method of any name has learned: a field of a method that asks others.

    Attributes:
        kind: of the method.
        method: whose `fit` says by its annotation what the state is.
        state: what that gave.
    """

    kind: Literal["detector"]
    method: Any
    state: Any


def fitted_kind(method: Any) -> Any:
    """What a detector or tracer learns, by the annotation of what its `fit` returns.

    Raises:
        CapabilityError: it has none.
    """
    try:
        kind = get_type_hints(type(method).fit).get("return")
    except NameError:
        kind = None
    if kind is None:
        raise CapabilityError(
            f"what {type(method).__name__} learns cannot be saved; annotate what its fit returns "
            "with a frozen dataclass."
        )
    return kind


def pack(value: Any, kind: Any, links: Links, tensors: dict[str, Tensor], name: str) -> Any:
    """The facts of a value; its tensors are added to `tensors`, each once.

    Args:
        value: an instance of `kind`.
        kind: a class or another annotation.
        links: what is not saved.
        tensors: by dotted name, as they are; views and devices are for whoever writes them.
        name: of the value, where its own tensors' names begin.

    Raises:
        CapabilityError: it holds something that cannot be saved; the message names the field.
    """
    if isinstance(value, Tensor) and kind is Tensor:
        return _entered(value, tensors, name)
    if (isinstance(value, np.ndarray) and get_origin(kind) is np.ndarray) or kind is np.ndarray:
        return _entered(torch.from_numpy(value), tensors, name)
    if kind in PLAIN and isinstance(value, PLAIN):
        return _fact(value)
    if get_origin(kind) is Literal and value in get_args(kind):
        return value
    if kind in links:
        return _place(value, links[kind], name)
    if isinstance(value, Learned) and kind is Learned:
        inner = fitted_kind(value.method)
        state = pack(value.state, inner, links, tensors, f"{name}.state")
        return [value.kind, described(value.kind, value.method), state]
    if (inner := _optional(kind)) is not None:
        return None if value is None else pack(value, inner, links, tensors, name)
    if kind is slice and isinstance(value, slice):
        return [value.start, value.stop]
    if (kinds := _entries(kind, value)) is not None:
        pairs = enumerate(zip(value, kinds, strict=True))
        return [pack(each, one, links, tensors, f"{name}.{i}") for i, (each, one) in pairs]
    if (inner := _of_mapping(kind)) is not None and isinstance(value, Mapping):
        return [
            [key, pack(each, inner[1], links, tensors, f"{name}.{place}")]
            for place, (key, each) in enumerate(value.items())
        ]
    if _is_options(kind) and isinstance(value, kind):
        return resolved(value)
    if (hints := _fields(kind)) is not None:
        return {
            field: pack(getattr(value, field), each, links, tensors, f"{name}.{field}")
            for field, each in hints.items()
        }
    raise CapabilityError(
        f"{name} is {_told(value)}, which cannot be saved: a fitted method is saved if its fields "
        "are tensors, numbers, texts and the like, and neither code nor examples."
    )


def unpack(kind: Any, facts: Any, links: Links, tensors: Mapping[str, Tensor], name: str) -> Any:
    """The value of this kind that `pack` was given.

    Raises:
        DataError: facts and tensors are not those of such a value; the message names the place.
    """
    try:
        return _unpacked(kind, facts, links, tensors, name)
    except (*DAMAGE, CapabilityError, ConfigError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"the saved state of {name} is damaged ({first[:100]}).") from None


def _unpacked(kind: Any, facts: Any, links: Links, tensors: Mapping[str, Tensor], name: str) -> Any:
    def inner(one: Any, fact: Any, where: str) -> Any:
        return _unpacked(one, fact, links, tensors, f"{name}.{where}")

    if kind is Tensor:
        return _tensor(facts, tensors, name)
    if get_origin(kind) is np.ndarray or kind is np.ndarray:
        return _tensor(facts, tensors, name).numpy()
    if kind in PLAIN:
        return _value(kind, facts, name)
    if get_origin(kind) is Literal:
        return get_args(kind)[get_args(kind).index(facts)]
    if kind is Learned:
        of, method, state = facts
        of = inner(get_type_hints(Learned)["kind"], of, "kind")
        made = make(of, _is(method, dict, name), name)
        return Learned(of, made, inner(fitted_kind(made), state, "state"))
    if kind in links:
        return None if facts is None else dict(enumerate(links[kind]))[_is(facts, int, name)]
    if (one := _optional(kind)) is not None:
        return None if facts is None else _unpacked(one, facts, links, tensors, name)
    if kind is slice:
        start, stop = (None if each is None else _is(each, int, name) for each in facts)
        return slice(start, stop)
    if (kinds := _entries(kind, facts)) is not None:
        made = [
            inner(one, each, str(i)) for i, (each, one) in enumerate(zip(facts, kinds, strict=True))
        ]
        return made if get_origin(kind) is list else tuple(made)
    if (types := _of_mapping(kind)) is not None:
        return {
            _is(key, types[0], name): inner(types[1], fact, str(place))
            for place, (key, fact) in enumerate(facts)
        }
    if _is_options(kind):
        return build(kind, _is(facts, dict, name), name)
    hints = _fields(kind)
    if hints is None or _is(facts, dict, name).keys() != hints.keys():
        raise ValueError(f"{name} is no {_name(kind)}")
    return _origin(kind)(**{each: inner(one, facts[each], each) for each, one in hints.items()})


def _entered(tensor: Tensor, tensors: dict[str, Tensor], name: str) -> Any:
    """The name under which a tensor is kept, with the order of its axes in memory if need be.

    One that is there already has its own name. Sums over a matrix and over its transpose are
    rounded otherwise, so the order must come back.
    """
    order = sorted(range(tensor.ndim), key=lambda axis: -tensor.stride()[axis])
    ordered = tensor.detach().permute(order)
    for known, other in tensors.items():
        if _memory(other) == _memory(ordered) and tensor.numel():
            name = known
            break
    else:
        tensors[name] = ordered
    return name if order == sorted(order) else [name, order]


def _tensor(fact: Any, tensors: Mapping[str, Tensor], name: str) -> Tensor:
    """The tensor that `_entered` kept."""
    if isinstance(fact, str):
        return tensors[fact]
    kept, order = fact
    return tensors[_is(kept, str, name)].permute([order.index(axis) for axis in range(len(order))])


def _memory(tensor: Tensor) -> tuple[Any, ...]:
    place = (tensor.device, tensor.data_ptr(), tensor.dtype)
    return (*place, tuple(tensor.shape), tensor.stride())


def _place(value: Any, known: Sequence[Any], name: str) -> int | None:
    if not known:
        return None
    for place, each in enumerate(known):
        if each is value:
            return place
    raise CapabilityError(f"{name} is not one of those that are given again, so it is not saved.")


def _fact(value: Any) -> Any:
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if finite else str(value)  # JSON has no such numbers


def _value(kind: type, fact: Any, name: str) -> Any:
    if kind is float and fact in ("nan", "inf", "-inf"):
        return float(fact)
    if kind is float and isinstance(fact, int) and not isinstance(fact, bool):
        return float(fact)
    return _is(fact, kind, name)


def _is(fact: Any, kind: Callable[..., Any], name: str) -> Any:
    if type(fact) is not kind:
        raise ValueError(f"{name} holds {_told(fact)}")
    return fact


def _optional(kind: Any) -> Any:
    """X of `X | None`; None for anything else."""
    if get_origin(kind) not in (Union, UnionType):
        return None
    rest = [each for each in get_args(kind) if each is not NoneType]
    return rest[0] if len(rest) == 1 else None


def _entries(kind: Any, values: Any) -> Sequence[Any] | None:
    """The annotation of each entry of a tuple, list or sequence; None for anything else."""
    origin, given = get_origin(kind), get_args(kind)
    if origin not in (tuple, list, Sequence) or not isinstance(values, (tuple, list)):
        return None
    if origin is tuple and not (len(given) == 2 and given[1] is Ellipsis):
        return given
    return [given[0]] * len(values)


def _of_mapping(kind: Any) -> tuple[Any, Any] | None:
    given = get_args(kind)
    known = get_origin(kind) in (dict, Mapping) and given[0] in (str, int)
    return (given[0], given[1]) if known else None


def _is_options(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_fields__")


def _fields(kind: Any) -> dict[str, Any] | None:
    """Annotations by field of a dataclass or named tuple, its type variables filled in."""
    cls = _origin(kind)
    if not isinstance(cls, type):
        return None
    if is_dataclass(cls):
        names = [field.name for field in fields(cls) if field.init]
    elif hasattr(cls, "_fields"):
        names = list(cls._fields)
    else:
        return None
    hints, filled = get_type_hints(cls), _variables(kind)
    return {name: filled.get(hints[name], hints[name]) for name in names}


def _variables(kind: Any) -> dict[Any, Any]:
    """What type variables stand for in `Source[Noise]`."""
    origin = get_origin(kind)
    variables: tuple[TypeVar, ...] = getattr(origin, "__parameters__", ()) if origin else ()
    return dict(zip(variables, get_args(kind), strict=True))


def _origin(kind: Any) -> Any:
    return get_origin(kind) or kind


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _told(value: Any) -> str:
    return f"of type {type(value).__name__}"
