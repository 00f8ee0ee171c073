"""Which page belongs to a folder, told by the top record that lies in it."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from anomech import records
from anomech.records.digests import Digested


class Kind(NamedTuple):
    """A kind of folder that has a page.

    Attributes:
        room: of `anomech.report`, whose `render` makes the page.
        record: name of the top record in `anomech.records`, if it tells which files were changed.
    """

    room: str
    record: str = ""


KINDS: Mapping[str, Kind] = {
    "scan.json": Kind("scan", "ModelScan"),
    "review.json": Kind("review"),
    "repair.json": Kind("repair", "RepairRun"),
    "screening.json": Kind("screening", "Screening"),
    "explanation.json": Kind("explaining"),
    "attribution.json": Kind("attributing"),
    "bias.json": Kind("bias"),
    "federation.json": Kind("federation"),
    "flips.json": Kind("flips"),
    "stealth.json": Kind("stealth"),
    "screens.json": Kind("screens"),
    "run.json": Kind("run", "Run"),
}
"""By the file name of the top record; the first that is there decides, and an audit is the rest."""


def rendered(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """Render the page of a folder again: where it is, and files that changed since the run.

    Args:
        folder: of a run; without any top record it is taken for that of an audit.

    Raises:
        RunError: it is no folder of a run, its record is damaged, or the page cannot be written.
    """
    top = next((name for name in KINDS if (folder / name).is_file()), "run.json")
    kind = KINDS[top]
    page: Path = import_module(f"anomech.report.{kind.room}.render").render(folder)
    if not kind.record:
        return page, ()
    record: Digested = records.read_record(folder / top, getattr(records, kind.record))
    return page, records.changed(folder, record)
