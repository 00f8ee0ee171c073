"""What benches that keep each piece as a record share: whose a folder is, and what still counts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from anomech.audit.settings import difference
from anomech.kernel.errors import AnomechError, RunError
from anomech.kernel.types import Progress
from anomech.kernel.yaml_text import read_yaml, read_yaml_file
from anomech.records import read_record, write_record, write_text
from anomech.records.flips import FlipCell, FlipRun
from anomech.records.modelcards import ModelCard, NetworkCard
from anomech.records.repair import RepairCard
from anomech.records.screencards import ScreenCard, ScreenCase
from anomech.records.stealth import StealthCell, StealthRun

SUITE = "suite.yaml"

Kept = TypeVar(
    "Kept", FlipCell, ModelCard, NetworkCard, RepairCard, ScreenCard, ScreenCase, StealthCell
)
"""The record of a piece; its `basis` is a hash of all that its numbers rest on."""
C = TypeVar("C", FlipCell, StealthCell)
R = TypeVar("R", FlipRun, StealthRun)
"""The record of a bench of such pieces."""


def claim(out: Path, name: str, suite: str) -> None:
    """Make a folder the bench of a suite, whatever pieces it had before.

    Args:
        out: the folder, which is there.
        name: of the suite.
        suite: resolved, as YAML.

    Raises:
        RunError: it holds another suite or something else.
    """
    _held(out, name)
    write_text(out / SUITE, suite)


def claim_form(out: Path, name: str, suite: str) -> None:
    """As `claim`, for a suite whose tables rest on all that it says.

    Raises:
        RunError: also if the folder holds another form of this suite.
    """
    held = _held(out, name)
    if held and (differing := difference(held, read_yaml(suite, SUITE))):
        raise RunError(
            f"{out} holds another form of this suite (it differs in {', '.join(differing[:3])}); "
            "choose another --out."
        )
    write_text(out / SUITE, suite)


def _held(out: Path, name: str) -> Mapping[str, Any]:
    """The suite whose bench a folder is; nothing if it is empty."""
    if not (out / SUITE).exists():
        if any(not each.name.startswith(".") for each in out.iterdir()):
            raise RunError(
                f"{out} is not an empty folder and holds no bench; choose another --out."
            )
        return {}
    held = read_yaml_file(out / SUITE, f"{SUITE} is gone; choose another --out.")
    if not isinstance(held, dict) or held.get("name") != name:
        raise RunError(f"{out} holds a bench of another suite; choose another --out.")
    return held


def kept(path: Path, kind: type[Kept], basis: str) -> Kept | None:
    """The record of a piece, if it is there and still counts.

    Args:
        path: of its file.
        kind: of the record.
        basis: hash of all that its numbers rest on by now.
    """
    found = read_if_there(path, kind)
    return found if found is not None and found.basis == basis else None


def read_if_there(path: Path, kind: type[Kept]) -> Kept | None:
    """The record of a piece, on whatever basis; one that cannot be read is to be made again."""
    with suppress(RunError):
        return read_record(path, kind)
    return None


@contextmanager
def also_if_cut_short(write: Callable[[str], object]) -> Iterator[None]:
    """Write a bench where the work inside ends early; the error goes on to the caller.

    Args:
        write: given why it is not whole.
    """
    try:
        yield
    except BaseException as error:
        with suppress(RunError):  # the first error is the one to show
            write(str(error) if isinstance(error, AnomechError) else "Stopped.")
        raise


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
    with also_if_cut_short(lambda message: written([each for each in cells if each], message)):
        for number, cell in zip(missing, judge(missing), strict=True):
            write_record(places[number], cell)
            cells[number] = cell
            progress(stage, sum(each is not None for each in cells), len(cells))
    return written([each for each in cells if each], "")
