"""`NAME=VALUE` settings laid over the options of a plan, a suite or an engine.

A value is read as YAML. Where an option takes several values, commas separate them and one value
stands for a list of one; anywhere else a comma is a character, as in the name of a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, get_args, get_origin

from anomech.kernel import plugins
from anomech.kernel.config import USE, choice_of
from anomech.kernel.errors import ConfigError, shortened, shown
from anomech.kernel.yaml_text import read_yaml

BY_NAME = {"detectors": "detector", "scanners": "scanner"}
"""Options that map the names of methods to their options, with the kind of these methods."""


def assign(values: Mapping[str, Any], settings: Sequence[str], cls: type) -> dict[str, Any]:
    """A copy of `values` with `a.b=c` settings laid over it.

    Args:
        values: a plan's mapping.
        settings: such as `task.watch=last`.
        cls: the options class that the values are for.

    Raises:
        ConfigError: a setting without `=`, or through something that is no mapping.
    """
    result = dict(values)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"--set takes NAME=VALUE, such as task.watch=last, not {shown(setting)}."
            )
        field = _field_at(cls, path.split("."), result)
        if _takes_several(field) and not text.startswith(("[", "'", '"')):
            text = f"[{text}]"
        result = put(result, path, read_yaml(text, f"the value of --set {shortened(path)}"), cls)
    return result


def put(values: Mapping[str, Any], path: str, value: Any, cls: type) -> dict[str, Any]:
    """A copy of `values` with `value` at the dotted `path`.

    A method that is given by its name alone gets options this way, and another method under `use`
    takes the options of the one before away.

    Args:
        values: a plan's mapping.
        path: names joined by dots.
        value: what goes there.
        cls: the options class that the values are for.

    Raises:
        ConfigError: the path goes through something that is no mapping.
    """
    result = place = _copied(values)
    *parents, last = path.split(".")
    for depth, parent in enumerate(parents, start=1):
        inside = place.get(parent)
        if isinstance(inside, str) and _usual(_field_at(cls, parents[:depth], result)):
            inside = {USE: inside}
        place[parent] = {} if inside is None else inside
        place = place[parent]
        if not isinstance(place, dict):
            raise ConfigError(
                f"{path} cannot be set: '{parent}' holds a value, not options; see "
                "`anomech plan new`."
            )
    if last == USE and parents:
        before = place.get(USE, _usual(_field_at(cls, parents, result)) or value)
        if before != value:
            place.clear()
    place[last] = value
    return result


def difference(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Dotted names of options in which two plans differ."""
    left, right = _flat(first), _flat(second)
    return sorted(name for name in {*left, *right} if left.get(name) != right.get(name))


def _takes_several(field: Field[Any] | None) -> bool:
    return field is not None and get_origin(field.type) in (tuple, list)


def _usual(field: Field[Any] | None) -> str:
    choice = None if field is None else choice_of(field)
    return "" if choice is None else choice.default


def _field_at(cls: type, path: Sequence[str], values: Any) -> Field[Any] | None:
    """The field of the option at a path; None if there is none, which is refused later."""
    name, *rest = path
    field = {each.name: each for each in fields(cls)}.get(name) if is_dataclass(cls) else None
    if field is None or not rest:
        return field
    inside = values.get(name) if isinstance(values, Mapping) else None
    if name in BY_NAME:
        if not rest[1:] or rest[0] not in plugins.names(BY_NAME[name]):
            return None
        inside = inside.get(rest[0]) if isinstance(inside, Mapping) else None
        return _field_at(plugins.get(BY_NAME[name], rest[0]), rest[1:], inside)
    if (choice := choice_of(field)) is not None:
        named = inside.get(USE, choice.default) if isinstance(inside, Mapping) else inside
        return _field_at(choice.class_of(str(named or choice.default)), rest, inside)
    if get_origin(field.type) is Mapping:  # options by names of the user's own
        _, cls = get_args(field.type)
        inside = inside.get(rest[0]) if isinstance(inside, Mapping) else None
        return _field_at(cls, rest[1:], inside) if rest[1:] else None
    return _field_at(field.type, rest, inside) if isinstance(field.type, type) else None


def _copied(values: Any) -> Any:
    return {k: _copied(v) for k, v in values.items()} if isinstance(values, Mapping) else values


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(values, Mapping):
        return {prefix: values}
    if not values:
        return {prefix: {}}
    return {
        name: value
        for key, each in values.items()
        for name, value in _flat(each, f"{prefix}.{key}" if prefix else str(key)).items()
    }
