"""The folder is the registry: a method is a file, and its file name is its name everywhere.

The class in `detectors/class_mean.py` is `ClassMean`. Other packages join by an entry point in
the group `anomech.detectors` (or `anomech.attacks`, ...) whose name is the method's name.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any

from anomech.kernel.config import USE, Choice, build, chosen_option, nearest, resolved
from anomech.kernel.errors import AnomechError, ConfigError, answered, shown

KINDS = {
    "aggregation": "anomech.federated.aggregations",
    "architecture": "anomech.architectures",
    "attack": "anomech.attacks",
    "dataset": "anomech.datasets",
    "detector": "anomech.detectors",
    "engine": "anomech.engines",
    "explainer": "anomech.explainers",
    "grouping": "anomech.federated.groupings",
    "mitigation": "anomech.mitigations",
    "purifier": "anomech.purifiers",
    "scanner": "anomech.scanners",
    "screen": "anomech.screens",
    "source": "anomech.sources",
    "task": "anomech.tasks",
    "tracer": "anomech.tracing",
    "trainer": "anomech.trainers",
}
"""The folder of each kind."""

SUFFIX = {"task": "Options"}
"""Ends the name of a kind's class. `ImageClassifier` is a task, which holds a model; what a plan
names are its options."""


def names(kind: str) -> list[str]:
    """Names of all methods of a kind, sorted; nothing is imported but the folder."""
    return sorted({*_own(_folder(kind)), *_foreign(group(kind))})


def get(kind: str, name: str) -> Any:
    """The class of a method.

    Raises:
        ConfigError: no such kind or method; the message names the nearest.
    """
    folder = _folder(kind)
    if name in _own(folder):
        wanted = class_name(name) + SUFFIX.get(kind, "")
        module = importlib.import_module(f"{folder}.{name}")
        if not hasattr(module, wanted):
            raise ConfigError(
                f"{folder}.{name} has no class {wanted}; add it, or let the file's name begin "
                "with '_' if it only helps others."
            )
        return getattr(module, wanted)
    if name in (foreign := _foreign(group(kind))):
        return _loaded(kind, foreign[name])
    raise ConfigError(f"no {kind} is named '{name}': {nearest(name, names(kind))}")


def chosen(kind: str, default: str, help: str) -> Any:
    """A field of an options class that holds a method of a kind, such as a detector's tracer.

    In Python it is the method itself, `Gradient(features=64)`, or its name; in a plan a name or
    `{use: gradient, features: 64}`.
    """

    def make_it(given: Any, where: str) -> Any:
        return make(kind, given, where, default)

    choice = Choice(
        make=make_it,
        name_of=lambda value: name_of(kind, value),
        class_of=lambda name: get(kind, name),
        default=default,
    )
    return chosen_option(choice, help)


def make(kind: str, given: Any, where: str, default: str = "") -> Any:
    """A method from what a plan says of it.

    Args:
        kind: of the method.
        given: a name, `{use: NAME, ...options}`, or the method itself.
        where: the place in the plan, for the message.
        default: name of the method if the mapping has none.

    Raises:
        ConfigError: an unknown method or option, or a wrong value.
    """
    if isinstance(given, str):
        return get(kind, given)()
    if isinstance(given, Mapping):
        values = dict(given)
        return build(get(kind, str(values.pop(USE, default))), values, where)
    if given is None or isinstance(given, bool | int | float | list | tuple):
        raise ConfigError(
            f"{where} takes the name of a {kind} or {{{USE}: NAME, ...}}, not {shown(given)}."
        )
    return given


def label(kind: str, method: Any) -> str:
    """The name of a method, with the options that are not its defaults: "resnet20 width=8"."""
    usual = resolved(type(method)())
    other = {name: value for name, value in resolved(method).items() if value != usual[name]}
    return " ".join([name_of(kind, method), *(f"{name}={other[name]}" for name in other)])


def described(kind: str, method: Any) -> dict[str, Any]:
    """A method as a plan names it, `{use: NAME, ...}` with every option; `make` gives it back."""
    return {USE: name_of(kind, method), **resolved(method)}


def name_of(kind: str, method: Any) -> str:
    """The name of a method, from the object.

    Raises:
        ConfigError: it belongs to no file and no entry point of that kind.
    """
    cls = type(method)
    folder, _, name = cls.__module__.rpartition(".")
    if folder == _folder(kind):
        return name
    for name, point in _foreign(group(kind)).items():
        if _loaded(kind, point) is cls:
            return name
    raise ConfigError(
        f"{cls.__name__} is no {kind} that a plan can name; give it an entry point in the group "
        f"'{group(kind)}'."
    )


def _loaded(kind: str, point: Any) -> Any:
    """The class behind an entry point; another package's fault is told in one sentence."""

    def refusal(what: str) -> ConfigError:
        return ConfigError(
            f"the {kind} '{point.name}' of another package ({point.value}) cannot be loaded "
            f"({what.rstrip('.')}); mend or uninstall that package."
        )

    def load() -> Any:
        try:
            return point.load()
        except AnomechError as error:  # such as an option that is none
            raise refusal(str(error)) from error

    return answered(load, refusal)


def file_of(kind: str, name: str) -> str:
    """The file that adds a method of this name to this project."""
    return f"{_folder(kind).replace('.', '/')}/{name}.py"


def class_name(name: str) -> str:
    """`rmsprop_sgld` to `RmspropSgld`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _folder(kind: str) -> str:
    if kind not in KINDS:
        raise ConfigError(f"no kind of method is named '{kind}': {nearest(kind, list(KINDS))}")
    return KINDS[kind]


def group(kind: str) -> str:
    """The group of entry points by which other packages give methods of a kind."""
    return f"anomech.{kind}s"


@cache
def _own(folder: str) -> tuple[str, ...]:
    spec = find_spec(folder)
    places = spec.submodule_search_locations if spec else None
    found = pkgutil.iter_modules(places) if places else ()
    return tuple(module.name for module in found if not module.name.startswith("_"))


@cache
def _foreign(named: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=named)}
