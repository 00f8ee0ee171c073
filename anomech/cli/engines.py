"""The options that choose an engine, for every command that has independent work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from anomech.kernel.types import Engine

HOW = "How to judge"
"""Heading of these options in a command's help."""

EngineName = Annotated[
    str,
    typer.Option(
        metavar="NAME",
        help="Where work is done: serial, processes or ray. It changes no result.",
        rich_help_panel=HOW,
    ),
]
EngineSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--engine-set",
        metavar="NAME=VALUE",
        help="Option of the engine, such as address=auto; may be given again.",
        rich_help_panel=HOW,
    ),
]


def chosen_engine(name: str, settings: Sequence[str]) -> "Engine | None":
    """The engine of this name; None stands for this process, which reports every step.

    Raises:
        ConfigError: no such engine or option.
    """
    from anomech.audit.settings import assign
    from anomech.kernel import plugins
    from anomech.kernel.config import build

    cls = plugins.get("engine", name)
    chosen: Engine = build(cls, assign({}, settings, cls), f"engine {name}")
    return None if name == "serial" else chosen
