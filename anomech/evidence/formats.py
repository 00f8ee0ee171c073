"""The forms in which evidence is written, each one file in the run folder."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from anomech.evidence.card import card
from anomech.evidence.cyclonedx import cyclonedx
from anomech.evidence.junit import junit
from anomech.evidence.sarif import sarif
from anomech.evidence.subject import Subject, read
from anomech.records import write_text

FOLDER = "evidence"

FORMATS: Mapping[str, tuple[str, Callable[[Subject], str]]] = {
    "sarif": ("anomech.sarif", sarif),
    "sarif-open": ("anomech-open.sarif", partial(sarif, drop_accepted=True)),
    "junit": ("junit.xml", junit),
    "cyclonedx": ("bom.cdx.json", cyclonedx),
    "card": ("model-card.md", card),
}
"""File name and writer of each format; `sarif-open` leaves accepted findings out."""


def write(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write the evidence of a finished run into its folder; the paths of the files.

    Args:
        folder: of a finished audit or scan.
        names: of formats.

    Raises:
        RunError: the run is not finished, or a file cannot be written.
    """
    if not names:
        return []
    subject, paths = read(folder), []
    for name in dict.fromkeys(names):
        file, make = FORMATS[name]
        path = folder / FOLDER / file
        write_text(path, make(subject))
        paths.append(path)
    return paths
