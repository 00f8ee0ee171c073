"""`anomech describe`: the methods, what they believe and their options."""

import sys
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import Annotated, Any

import typer

from anomech.cli.console import plain, say, table
from anomech.kernel.errors import ConfigError


def describe(
    kind: Annotated[
        str, typer.Argument(metavar="[KIND]", help="Such as detector, tracer or attack.")
    ] = "",
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A method of that kind.")] = "",
    where: Annotated[
        bool, typer.Option("--where", help="Say which one file adds a method of each kind.")
    ] = False,
) -> None:
    """List the methods of each kind, or say what one of them believes and which options it has."""
    from anomech.kernel import plugins

    kinds = [kind] if kind else list(plugins.KINDS)
    if where:
        _where(kinds)
        return
    if name:
        _one(plugins.get(kind, name))
        return
    found = {each: plugins.names(each) for each in kinds}
    for each, names in found.items():
        if not kind:
            say(each if names else f"{each}: none in this version", style="bold" if names else "")
        rows = [(method, _gist(each, method)) for method in names]
        if each == "detector":
            seen = [(method, _access(method), gist) for method, gist in rows]
            table([("name", "left"), ("access", "left"), ("what it is", "left")], seen)
        elif rows:
            table([("name", "left"), ("what it is", "left")], rows)
        if not kind:
            say("")
    example = next(((each, names[0]) for each, names in found.items() if names), None)
    if example:
        say(f"`anomech describe {example[0]} {example[1]}` says more about one of them.")


def _where(kinds: Sequence[str]) -> None:
    """The file of this project, or the entry point of another package, that adds a method."""
    from anomech.kernel import plugins

    table(
        [("kind", "left"), ("one file adds it", "left"), ("or an entry point in", "left")],
        [(kind, plugins.file_of(kind, "NAME"), plugins.group(kind)) for kind in kinds],
    )
    say(f"The class in NAME.py is {plugins.class_name('name')}: its name in words, joined.")


def _gist(kind: str, name: str) -> str:
    """What a method is; of one that cannot be loaded, why."""
    from anomech.kernel import plugins

    try:
        return _first(plugins.get(kind, name))
    except ConfigError as error:
        return str(error)


def _access(detector: str) -> str:
    """What of a model a detector must see; nothing is known of one that cannot be loaded."""
    from anomech.audit.access import access_of

    try:
        return ", ".join(access_of(detector))
    except ConfigError:
        return ""


def _document(method: Any) -> str:
    """The text of a method's file, or that of its class."""
    return (sys.modules[method.__module__].__doc__ or method.__doc__ or "").strip()


def _first(method: Any) -> str:
    return _document(method).partition("\n")[0].rstrip(".")


def _one(method: Any) -> None:
    from anomech.kernel import config

    say("\n".join(plain(line) for line in _document(method).splitlines()))
    say("")
    rows = config.describe(method) if isinstance(method, type) and is_dataclass(method) else []
    if not rows:
        say("It has no options.")
        return
    table(
        [("option", "left"), ("default", "left"), ("what it does", "left")],
        [
            (
                row["name"],
                row["default"],
                row["help"] + (f" [{row['unit']}]" if row["unit"] else ""),
            )
            for row in rows
        ],
    )
