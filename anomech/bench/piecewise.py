"""Suites whose pieces are done one by one, each kept as a record when it is done."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import yaml

from anomech.audit.settings import difference
from anomech.kernel.errors import AnomechError, RunError
from anomech.kernel.types import Progress
from anomech.kernel.yaml_text import read_yaml_file
from anomech.records import write_record, write_text
from anomech.records.flips import FlipCell, FlipRun
from anomech.records.stealth import StealthCell, StealthRun

SUITE = "suite.yaml"

C = TypeVar("C", FlipCell, StealthCell)
"""The record of a piece."""
R = TypeVar("R", FlipRun, StealthRun)
"""The record of the bench."""


def claim(out: Path, name: str, suite: str) -> None:
    """Make a folder the bench of a suite.

    Args:
        out: the folder, which is there.
        name: of the suite.
        suite: resolved, as YAML.

    Raises:
        RunError: it holds another suite, another form of this one, or something else.
    """
    path = out / SUITE
    if path.exists():
        kept = read_yaml_file(path, f"{path.name} is gone; choose another --out.")
        if kept.get("name") != name or "kind" not in kept:
            raise RunError(f"{out} holds a bench of '{kept.get('name')}'; choose another --out.")
        if differing := difference(kept, yaml.safe_load(suite)):
            raise RunError(
                f"{out} holds another form of this suite (it differs in "
                f"{', '.join(differing[:3])}); choose another --out."
            )
    elif any(not each.name.startswith(".") for each in out.iterdir()):
        raise RunError(f"{out} is not an empty folder and holds no bench; choose another --out.")
    write_text(path, suite)


def in_pieces(
    kept: Mapping[Path, C | None],
    judge: Callable[[Sequence[int]], Iterable[C]],
    written: Callable[[list[C], str], R],
    progress: Progress,
    stage: str,
) -> R:
    """Do the pieces that are missing, and write the bench, also if they end early.

    Args:
        kept: the record that each piece's file holds and that still counts, in the pieces' order.
        judge: does pieces, given by their numbers.
        written: writes the bench of these pieces, with why it is not whole.
        progress: told about pieces.
        stage: what they are.
    """
    places, cells = list(kept), list(kept.values())
    missing = [number for number, cell in enumerate(cells) if cell is None]
    try:
        for number, cell in zip(missing, judge(missing), strict=True):
            write_record(places[number], cell)
            cells[number] = cell
            progress(stage, sum(each is not None for each in cells), len(cells))
    except BaseException as error:
        told = str(error) if isinstance(error, AnomechError) else "Stopped."
        with suppress(RunError):  # the first error is the one to show
            written([each for each in cells if each], told)
        raise
    return written([each for each in cells if each], "")
