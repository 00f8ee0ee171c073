"""The folder is the registry: a method is a file, and its file name is its name everywhere.

The class in `detectors/class_mean.py` is `ClassMean`. Other packages join by an entry point in
the group `anomech.detectors` (or `anomech.attacks`, ...) whose name is the method's name.
"""

import importlib
import pkgutil
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from anomech.config import nearest
from anomech.errors import ConfigError

KINDS = {
    "tracer": "anomech.tracing",
    "detector": "anomech.detectors",
    "scanner": "anomech.scanners",
    "attack": "anomech.attacks",
    "mitigation": "anomech.mitigations",
    "engine": "anomech.engines",
}


def names(kind: str) -> list[str]:
    """Names of all methods of a kind, sorted; nothing is imported but the folder."""
    return sorted({*_own(_folder(kind)), *_foreign(_group(kind))})


def get(kind: str, name: str) -> Any:
    """The class of a method.

    Raises:
        ConfigError: no such kind or method; the message names the nearest.
    """
    folder = _folder(kind)
    if name in _own(folder):
        return getattr(importlib.import_module(f"{folder}.{name}"), class_name(name))
    if name in (foreign := _foreign(_group(kind))):
        return foreign[name].load()
    raise ConfigError(f"no {kind} is named '{name}': {nearest(name, names(kind))}")


def class_name(name: str) -> str:
    """`rmsprop_sgld` to `RmspropSgld`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _folder(kind: str) -> str:
    if kind not in KINDS:
        raise ConfigError(f"no kind of method is named '{kind}': {nearest(kind, list(KINDS))}")
    return KINDS[kind]


def _group(kind: str) -> str:
    return f"anomech.{kind}s"


@cache
def _own(folder: str) -> tuple[str, ...]:
    spec = find_spec(folder)
    places = spec.submodule_search_locations if spec else None
    found = pkgutil.iter_modules(places) if places else ()
    return tuple(module.name for module in found if not module.name.startswith("_"))


@cache
def _foreign(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group)}
