"""What the page of a screening shows; words and looks are in templates/."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from markupsafe import Markup

from anomech import records
from anomech.records import ExampleRow, Finding, LabelCount, Screening, ScreenResult, TrainingRow
from anomech.report.run import embedded

GALLERY = 48
"""Examples that are shown with pictures."""

MOST_LABELS = 12
ORDER = ("high", "medium", "low", "info")


@dataclass(frozen=True)
class Shown:
    """An example of the gallery."""

    row: TrainingRow
    picture: Markup
    suspect: bool


@dataclass(frozen=True)
class Page:
    """All that the templates are given.

    Attributes:
        run: the top record.
        findings: the most severe first.
        pictures: definitions of the pictures.
        gallery: the most suspicious examples.
        labels: suspects of the lead by label.
        most: the largest number of examples of a label, at least 1.
        agreeing: for each screen that decides, how many of the lead's suspects it suspects too.
    """

    run: Screening
    findings: tuple[Finding, ...]
    pictures: Markup
    gallery: tuple[Shown, ...]
    labels: tuple[LabelCount, ...]
    most: int
    agreeing: dict[str, int]

    @property
    def lead(self) -> ScreenResult | None:
        """What the deciding screen said."""
        return next((each for each in self.run.screens if each.name == self.run.lead), None)


def build(path: Path) -> Page:
    """Choose and count everything the page shows.

    Raises:
        RunError: it is no folder of a screening, or one of its files is damaged.
    """
    run = records.read_top(path, "screening.json", Screening, "screen")
    rows, agreeing = list[TrainingRow](), dict[str, int]()
    if (path / "rows.jsonl").is_file():
        every = records.iterate_rows(path / "rows.jsonl", TrainingRow)
        rows = list(islice(every, GALLERY))
        agreeing = _agreeing(path, run)
    listed = records.read_findings(path / "findings.json") if rows else []
    listed.sort(key=lambda each: ORDER.index(each.severity))
    found = embedded.load(path, _previews(rows))
    labels = next((each.labels for each in run.screens if each.name == run.lead), ())
    return Page(
        run=run,
        findings=tuple(listed),
        pictures=found.definitions,
        gallery=tuple(
            Shown(row, found.of(_preview(row)), run.lead in row.suspected_by) for row in rows
        ),
        labels=labels[:MOST_LABELS],
        most=max((each.examples for each in labels), default=1),
        agreeing=agreeing,
    )


def _agreeing(path: Path, run: Screening) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in records.iterate_rows(path / "rows.jsonl", TrainingRow):
        if run.lead not in row.suspected_by:
            continue
        for name in row.suspected_by:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _previews(rows: list[TrainingRow]) -> Iterator[ExampleRow]:
    for row in rows:
        yield _preview(row)


def _preview(row: TrainingRow) -> ExampleRow:
    return ExampleRow(
        id=f"{row.place}: {row.id}", role="input", digest="", answer=row.label, preview=row.preview
    )
