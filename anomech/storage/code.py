"""What code a result came from: a hash of the sources of a method and of all that it imports.

Caches keep networks, cells and chunks by what went into them. Options and data alone would not do:
an edited method would be given old results. The hash is of whole files, so that an edited comment
changes it too; that costs a repetition and never a wrong number.

Imports are read from the sources, not observed: what is imported by a name that is made while a
program runs is not seen. Only packages that the method or this project belong to are followed;
versions of other libraries are for whoever keeps the cache to note.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

OWN = __name__.partition(".")[0]

LENGTH = 16
"""Hexadecimal digits of a hash."""

NUMBERLESS = (
    *("anomech.records", "anomech.report", "anomech.cli", "anomech.engines"),
    *("anomech.kernel.config", "anomech.kernel.errors", "anomech.kernel.plugins"),
)
"""Parts that words, files and places of work come from, but no numbers.

An option's default stands in the file of its method, and its value in whatever is kept.
"""


def code_of(*methods: Any) -> str:
    """A hash of the code of methods, those that their options hold included."""
    modules = (module for method in methods for module in _modules(method))
    return code_digest(*modules, apart_from=NUMBERLESS)


def code_digest(*modules: str, apart_from: Sequence[str] = ()) -> str:
    """A hash of the sources of modules and of all they import, as they were first looked at.

    Args:
        modules: full names; the order does not matter.
        apart_from: packages that are not followed, such as one that only words results.
    """
    digest = hashlib.sha256()
    for name, path in sorted(sources(*modules, apart_from=apart_from).items()):
        digest.update(f"{name} {hashlib.sha256(_read(path)).hexdigest()}\n".encode())
    return digest.hexdigest()[:LENGTH]


def sources(*modules: str, apart_from: Sequence[str] = ()) -> dict[str, Path]:
    """The files of modules and of all they import, by module.

    A package's `__init__` counts where it is imported by its own name or runs on the way, but for
    that of this project, which fetches everything late. A module without a file is left out.
    """
    packages = {OWN, *(module.partition(".")[0] for module in modules)}
    found: dict[str, Path] = {}
    open_ones = list(modules)
    while open_ones:
        name = open_ones.pop()
        skipped = any(name == each or name.startswith(f"{each}.") for each in apart_from)
        if name in found or name == OWN or skipped or name.partition(".")[0] not in packages:
            continue
        if (path := _file(name)) is not None:
            found[name] = path
            open_ones += [*_imported(name, path), name.rpartition(".")[0]]
    return found


def _modules(method: Any) -> Iterator[str]:
    yield type(method).__module__
    if is_dataclass(method):
        for field in fields(method):
            value = getattr(method, field.name)
            if is_dataclass(value) and not isinstance(value, type):
                yield from _modules(value)


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _imported(name: str, path: Path) -> tuple[str, ...]:
    """Modules that a file imports anywhere, also inside functions."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(_read(path))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            start = ".".join([*(above if node.level else ()), *filter(None, [node.module])])
            # What is imported may be a module itself or something inside of one.
            found += [start, *(f"{start}.{alias.name}" for alias in node.names)]
    return tuple(found)


@cache
def _file(name: str) -> Path | None:
    """Where a module's source is; nothing is imported to find it."""
    top, *rest = name.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):  # such as a script's own `__main__`
        spec = None
    if spec is None or (not rest and not spec.submodule_search_locations):
        origin = spec.origin if spec else getattr(sys.modules.get(name), "__file__", None)
        return Path(origin) if origin and origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or ():
        base = Path(folder).joinpath(*rest)
        if rest and base.with_suffix(".py").is_file():
            return base.with_suffix(".py")
        if (base / "__init__.py").is_file():
            return base / "__init__.py"
    return None
