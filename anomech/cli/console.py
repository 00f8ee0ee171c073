"""What the command line writes: results to stdout; progress and errors to stderr.

Names of files, classes and inputs are strangers' words: control characters are dropped and nothing
in them is taken for markup.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from anomech.report.words import clean

if TYPE_CHECKING:  # it needs torch
    from anomech.kernel.types import Progress

PIPE_CLOSED = 141
"""Exit code when the reader of a pipe has gone: what a shell reports for SIGPIPE."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # The reader has seen enough. Code 1 would mean a finding, so it is not used here.
        self.quiet = True
        drop_output()
        raise SystemExit(PIPE_CLOSED)


def drop_output() -> None:
    """Write to nowhere from now on, so that what is still buffered does not fail at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def output() -> Console:
    """The console of results."""
    return _console(stderr=False)


def errors() -> Console:
    """The console of progress and errors."""
    return _console(stderr=True)


def _console(*, stderr: bool) -> Console:
    return _Console(stderr=stderr, markup=False, highlight=False, emoji=False)


def tolerant_streams() -> None:
    """Let a terminal that lacks a character show its code instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def plain(text: object) -> str:
    """One line of plain text: no control characters, no bytes that cannot be shown."""
    line = re.sub(r"[\n\t\r]+", " ", str(text))
    return clean(line).encode("utf-8", "backslashreplace").decode("utf-8")


def say(text: str, *, style: str = "") -> None:
    """Write a line of results; it is wrapped on a terminal only, never for a pipe or a file."""
    console = output()
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def say_whole(text: str) -> None:
    """Write lines that must stay whole, such as a path to copy or YAML."""
    output().print(Text(text), soft_wrap=True)


def warn(text: str, *, label: str = "note") -> None:
    """Write one line to stderr."""
    console = errors()
    line = Text.assemble((f"{label}: ", "bold red" if label == "error" else "bold"), plain(text))
    console.print(line, soft_wrap=not console.is_terminal)


def table(columns: Sequence[tuple[str, str]], rows: Sequence[Sequence[str | Text]]) -> None:
    """Write a table; columns are (heading, "left" or "right"), cells are taken as they are."""
    console = output()
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading, side in columns:
        grid.add_column(heading, justify="right" if side == "right" else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(Text(plain(cell)) if isinstance(cell, str) else cell for cell in row))
    console.print(grid)


@contextmanager
def progress() -> Iterator["Progress"]:
    """A `Progress` that shows bars on a terminal, and otherwise says when a stage begins."""
    console = errors()
    if not (console.is_terminal and sys.stderr.isatty()) or console.is_dumb_terminal:
        yield _lines(console)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        yield _bars(bars)


def _lines(console: Console) -> "Progress":
    seen: set[str] = set()

    def show(stage: str, done: int, total: int) -> None:
        if stage not in seen:
            seen.add(stage)
            console.print(Text(f"{plain(stage)} ..."), soft_wrap=True)

    return show


def _bars(bars: Bars) -> "Progress":
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(plain(stage), total=total)
        # A stage may come again, for another set of examples: its bar starts anew.
        bars.update(tasks[stage], completed=done, total=total)

    return show
