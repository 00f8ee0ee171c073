"""Options: defined once, as a frozen keyword-only dataclass, in the file of their method.

`options` makes the dataclass: values are checked in the constructor and unknown keywords are
refused. `option` gives a field its sentence, its unit and its bounds. `build` makes an options
object from a plan's mapping and answers bad input with one sentence.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import Annotated, Any, NamedTuple, TypeVar, cast, dataclass_transform

import pydantic
from pydantic.fields import FieldInfo

from anomech.kernel.errors import ConfigError, shortened, shown
from anomech.kernel.yaml_text import DEEPEST

Options = TypeVar("Options")


def option(
    default: Any,
    help: str,
    *,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
) -> Any:
    """A field of an options class: its default, one sentence, its unit and its bounds."""
    extra: dict[str, Any] | None = {"unit": unit} if unit else None
    if isinstance(default, dict):
        return pydantic.Field(default_factory=default.copy, description=help)
    return pydantic.Field(
        default=default, description=help, json_schema_extra=extra, ge=ge, le=le, gt=gt
    )


class Choice(NamedTuple):
    """A field whose value is a method of some kind, with options of its own.

    Attributes:
        make: from a name, a mapping with the name under `USE`, or the method itself to the method.
        name_of: the name of a method.
        class_of: the options class of the method of a name.
        default: name of the default.
    """

    make: Callable[[Any, str], Any]
    name_of: Callable[[Any], str]
    class_of: Callable[[str], type]
    default: str


USE = "use"
"""Key of a chosen method's name among its options in a plan: `{use: gradient, features: 64}`."""


def chosen_option(choice: Choice, help: str) -> Any:
    """A field that holds a method; `anomech.kernel.plugins.chosen` makes it by kind and name."""
    extra: Any = {"choice": choice}
    return pydantic.Field(
        default_factory=lambda: choice.make(choice.default, ""),
        description=help,
        json_schema_extra=extra,
    )


@dataclass_transform(kw_only_default=True, frozen_default=True)
def options(cls: type[Options]) -> type[Options]:
    """Make `cls` a frozen keyword-only dataclass whose values are checked when it is built.

    Raises:
        ConfigError: a field was not made by `option`.
    """
    for name in list(cls.__annotations__):
        given = vars(cls).get(name)
        if not isinstance(given, FieldInfo):
            raise ConfigError(
                f"{cls.__name__}.{name} is no option yet; write it as {name}: ... = "
                "option(DEFAULT, 'what it does')."
            )
        if (choice := _choice(given)) is not None:
            made_of = pydantic.BeforeValidator(_maker(choice, f"{cls.__name__}.{name}"))
            cls.__annotations__[name] = Annotated[Any, made_of]
    made = pydantic.dataclasses.dataclass(
        frozen=True, kw_only=True, config=pydantic.ConfigDict(extra="forbid", allow_inf_nan=False)
    )(cls)
    return cast(type[Options], made)


def _maker(choice: Choice, where: str) -> Callable[[Any], Any]:
    return lambda given: choice.make(given, where)


def _choice(info: FieldInfo) -> Choice | None:
    extra = info.json_schema_extra
    return cast(Any, extra).get("choice") if isinstance(extra, dict) else None


def choice_of(field: Field[Any]) -> Choice | None:
    """How a field's method is chosen; None if the field holds no method."""
    return _choice(field.default) if isinstance(field.default, FieldInfo) else None


def nearest(name: str, known: list[str]) -> str:
    """A hint that names the nearest known word, or lists the known ones."""
    if not known:
        return "there are none."
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(sorted(known))}."


def build(cls: type[Options], values: Mapping[str, Any], where: str) -> Options:
    """An options object of class `cls` from plain values, such as a plan's.

    Args:
        cls: a class made by `options`.
        values: option names to values.
        where: the place in the plan, for the message.

    Raises:
        ConfigError: an unknown option, a wrong type or a value out of bounds.
    """
    _check_plain(values, where)
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"{where} has no option {str(name)!r}: {nearest(name, known)}")
    nested = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    values = {
        name: _built(nested[name], value, f"{where}.{name}") for name, value in values.items()
    }
    try:
        return cls(**values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join([where, *map(_word, first["loc"])])
        raise ConfigError(f"{path}: {first['msg']} (it is {shown(first['input'])}).") from None


LARGEST = 2**53
"""Whole numbers beyond this are exact nowhere: not in JSON, not in float64."""


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what no option can mean, before anything computes with it."""
    if depth > DEEPEST:
        raise ConfigError(f"{shortened(where)} nests more than {DEEPEST} deep.")
    if isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise ConfigError(f"{where} is {shown(value)}, too large a number for any option.")
    if isinstance(value, str) and not _is_text(value):
        raise ConfigError(
            f"{where} is {shown(value)}, which holds what is no character; write it again."
        )
    if isinstance(value, Mapping):
        for name, each in value.items():
            _check_plain(name, where, depth + 1)
            _check_plain(each, f"{where}.{_word(name)}", depth + 1)
    elif isinstance(value, list | tuple):
        for each in value:
            _check_plain(each, where, depth + 1)


def _word(name: object) -> str:
    """A part of the place in a plan, for a message of one line."""
    return str(name) if isinstance(name, int) or _printable(name) else shown(name)


def _printable(name: object) -> bool:
    return isinstance(name, str) and name.isprintable()


def _is_text(value: str) -> bool:
    try:
        value.encode("utf-8", "surrogateescape")  # a path may hold bytes that are no text
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _built(field: Field[Any], value: Any, where: str) -> Any:
    if (choice := choice_of(field)) is not None:
        return choice.make(value, where)
    if isinstance(value, Mapping) and is_dataclass(field.type):
        return build(cast(type, field.type), value, where)
    return value


def resolved(instance: Any) -> dict[str, Any]:
    """All options of an object with their values, ready for a plan."""
    if not is_dataclass(instance):
        raise TypeError(f"{instance!r} is not an options object")
    return {
        field.name: _resolved_field(field, getattr(instance, field.name))
        for field in fields(instance)
        if field.init
    }


def _resolved_field(field: Field[Any], value: Any) -> Any:
    choice = choice_of(field)
    return _plain(value) if choice is None else {USE: choice.name_of(value), **resolved(value)}


def suggested(instance: Options, values: Mapping[str, Any]) -> Options:
    """The options with suggestions in place of defaults; what was said otherwise stays.

    Args:
        instance: the options.
        values: suggestions by name; what it has no option for is passed over.
    """
    usual = resolved(type(instance)())
    own = resolved(instance)
    taken = {n: value for n, value in values.items() if n in usual and own[n] == usual[n]}
    return replace(instance, **taken)  # type: ignore[type-var]


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return resolved(value)
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def describe(cls: type) -> list[dict[str, str]]:
    """Rows `{name, default, unit, help}` of a class made by `options`."""
    rows = []
    for field in fields(cls):
        info = cast(FieldInfo, field.default)
        extra, choice = info.json_schema_extra, choice_of(field)
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        rows.append(
            {
                "name": field.name,
                "default": repr(_plain(info.get_default(call_default_factory=True)))
                if choice is None
                else choice.default,
                "unit": unit,
                "help": info.description or "",
            }
        )
    return rows
