"""Options: defined once, as a frozen keyword-only dataclass, in the file of their method.

`options` makes the dataclass: values are checked in the constructor and unknown keywords are
refused. `option` gives a field its sentence, its unit and its bounds. `build` makes an options
object from a plan's mapping and answers bad input with one sentence.
"""

import difflib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, cast, dataclass_transform

import pydantic
from pydantic.fields import FieldInfo

from anomech.errors import ConfigError

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


@dataclass_transform(kw_only_default=True, frozen_default=True)
def options(cls: type[Options]) -> type[Options]:
    """Make `cls` a frozen keyword-only dataclass whose values are checked when it is built."""
    made = pydantic.dataclasses.dataclass(
        frozen=True, kw_only=True, config=pydantic.ConfigDict(extra="forbid")
    )(cls)
    return cast(type[Options], made)


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
    known = [field.name for field in fields(cls)]  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"{where} has no option '{name}': {nearest(name, known)}")
    nested = {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]
    values = {
        name: build(kind, value, f"{where}.{name}")
        if isinstance(value, Mapping) and is_dataclass(kind := cast(type, nested[name]))
        else value
        for name, value in values.items()
    }
    try:
        return cls(**values)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        path = ".".join([where, *(str(part) for part in first["loc"])])
        raise ConfigError(f"{path}: {first['msg']} (it is {first['input']!r}).") from None


def resolved(instance: Any) -> dict[str, Any]:
    """All options of an object with their values, ready for a plan."""
    if not is_dataclass(instance):
        raise TypeError(f"{instance!r} is not an options object")
    return {
        field.name: _plain(getattr(instance, field.name))
        for field in fields(instance)
        if field.init
    }


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
        extra = info.json_schema_extra
        unit = str(extra.get("unit", "")) if isinstance(extra, dict) else ""
        rows.append(
            {
                "name": field.name,
                "default": repr(_plain(info.get_default(call_default_factory=True))),
                "unit": unit,
                "help": info.description or "",
            }
        )
    return rows
