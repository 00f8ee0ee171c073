"""Files of suites: those that come with the package, and suites that are laid over others."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from anomech.audit.plan import read_plan
from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError

ROOM = "anomech.bench"
"""The package whose suites are matrices of audits, and of kinds that their file names."""


def shipped(room: str = ROOM) -> dict[str, Path]:
    """Suites that come with a package of this project, by name."""
    folder = Path(str(files(room))) / "suites"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def read_suite(name: str, room: str = ROOM) -> dict[str, Any]:
    """The mapping in a suite's file, laid over that of the suite that it names as its `base`.

    Args:
        name: of a shipped suite, or a path to a YAML file.
        room: package whose suites are meant.

    Raises:
        ConfigError: there is no such suite, it is no YAML mapping, or its base has a base.
    """
    path = _path(name, room)
    values = read_plan(path)
    if base := values.pop("base", None):
        below = read_plan(_path(str(base), room))
        if "base" in below:
            raise ConfigError(f"{path.name} is based on '{base}', which has a base of its own.")
        values = overlaid({**below, "name": ""}, values)
        parts = values.pop("parts", {})
        # Nulls of a part are for what it is itself laid over.
        kept = {each: part for each, part in parts.items() if part is not None}
        values = {**pruned(values), "parts": kept}
    return {**values, "name": values.get("name") or path.stem}


def _path(name: str, room: str) -> Path:
    known = shipped(room)
    path = known.get(name, Path(name))
    if not path.is_file():
        raise ConfigError(f"no suite is named '{name}': {nearest(name, list(known))}")
    return path


def overlaid(values: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of `values` with `over` laid over it, mapping by mapping."""
    result = dict(values)
    for name, value in over.items():
        below = result.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            value = overlaid(below, value)
        result[name] = value
    return result


def pruned(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without the entries that something laid over them took out by null."""
    return {
        name: pruned(value) if isinstance(value, Mapping) else value
        for name, value in values.items()
        if value is not None
    }
