"""What each section of the page of a scan shows; words and looks are in templates/."""

from collections.abc import Iterator
from dataclasses import dataclass

from markupsafe import Markup

from anomech.records import Compared, ExampleRow, Finding, ScannerResult
from anomech.report.run import embedded
from anomech.report.scan import outcome
from anomech.report.scan.bars import bars
from anomech.report.scan.folder import Folder

MOST_BARS = 12
MOST_TRIGGERS = 3
"""Recovered triggers of a scanner that are shown with pictures."""


@dataclass(frozen=True)
class Trigger:
    """A recovered trigger with its pictures, each with what it shows."""

    compared: Compared
    pictures: tuple[tuple[str, Markup], ...]


@dataclass(frozen=True)
class ScannerCard:
    """What one scanner said."""

    result: ScannerResult
    chart: Markup
    hidden: int
    triggers: tuple[Trigger, ...]


@dataclass(frozen=True)
class Page:
    """All that the templates are given."""

    folder: Folder
    answer: outcome.Answer
    pictures: Markup
    cards: tuple[ScannerCard, ...]
    open_findings: tuple[Finding, ...]
    accepted: tuple[Finding, ...]
    kinds: tuple[tuple[str, int], ...]


def build(folder: Folder) -> Page:
    """Choose and count everything the page shows."""
    found = embedded.load(folder.path, _previews(folder))
    codes = {each.code for each in folder.findings}
    kinds: dict[str, int] = {}
    for row in folder.rows:
        kinds[row.kind] = kinds.get(row.kind, 0) + 1
    return Page(
        folder=folder,
        answer=outcome.answer(folder),
        pictures=found.definitions,
        cards=tuple(
            _card(index, each, found, alarming=f"scanner-{each.name.replace('_', '-')}" in codes)
            for index, each in enumerate(folder.scan.scanners)
        ),
        open_findings=tuple(each for each in folder.findings if not each.accepted),
        accepted=tuple(each for each in folder.findings if each.accepted),
        kinds=tuple(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
    )


def _card(
    index: int, result: ScannerResult, found: embedded.Embedded, *, alarming: bool
) -> ScannerCard:
    shown = result.compared[:MOST_BARS]
    return ScannerCard(
        result=result,
        chart=bars(f"bars-{index}", result.name, result.unit, shown, found=alarming),
        hidden=len(result.compared) - len(shown),
        triggers=tuple(
            Trigger(one, tuple((row.answer, found.of(row)) for row in _rows(result, one)))
            for one in _with_pictures(result)
        ),
    )


def _with_pictures(result: ScannerResult) -> list[Compared]:
    return [one for one in result.compared if one.trigger and one.trigger.pictures][:MOST_TRIGGERS]


def _previews(folder: Folder) -> Iterator[ExampleRow]:
    for result in folder.scan.scanners:
        for one in _with_pictures(result):
            yield from _rows(result, one)


def _rows(result: ScannerResult, one: Compared) -> Iterator[ExampleRow]:
    """Pictures of a trigger, as the previews of examples are known."""
    assert one.trigger is not None
    for words, path in one.trigger.pictures.items():
        name = f"{result.name}, {result.unit} {one.name}"
        yield ExampleRow(id=f"{name}: {words}", role="input", digest="", answer=words, preview=path)
