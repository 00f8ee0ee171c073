"""What each section of the page shows, chosen and counted; words and looks are in templates/."""

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from anomech.records import DetectorSummary, Evidence, ExampleRow, Mechanism, Verdict
from anomech.report import drawing, words
from anomech.report.run import embedded, histograms, outcome, parts
from anomech.report.run.folder import Folder, Group, Marks

MOST_MECHANISMS = 12
MOST_EVIDENCE = 4
MOST_CENTRAL = 8
MOST_REASONS = 20


@dataclass(frozen=True)
class Shown:
    """One example with its preview."""

    id: str
    answer: str
    preview: Markup


@dataclass(frozen=True)
class Card:
    """One flagged input: its verdict, preview, nearest anchors and small chart.

    `listed` says whether its mechanism is on the page, so that a link leads somewhere;
    `alone` what is said if it has none.
    """

    verdict: Verdict
    listed: bool
    alone: str
    label: str | None
    preview: Markup
    anchors: tuple[tuple[Evidence, Markup], ...]
    profile: Markup


@dataclass(frozen=True)
class CauseCard:
    """What some flags are due to: how many, what that means, and what to do about them."""

    name: str
    count: int
    because: str
    advice: str


@dataclass(frozen=True)
class MechanismCard:
    """One mechanism with its most central examples."""

    mechanism: Mechanism
    answers: tuple[tuple[str, int], ...]
    other_answers: int
    causes: tuple[tuple[str, int], ...]
    examples: tuple[Shown, ...]
    profile: Markup


@dataclass(frozen=True)
class LeftOut:
    """Examples that were left out, or should be looked at, for one reason."""

    reason: str
    count: int
    examples: tuple[Shown, ...]


@dataclass(frozen=True)
class Localization:
    """The chart of parts of the network and its table.

    Attributes:
        lines: what is compared, the trusted set first, with the marker of each.
        rows: part of the network, then one number for each line.
        hidden: parts that are not drawn.
        hidden_mechanisms: mechanisms that are not drawn.
    """

    chart: Markup
    lines: tuple[tuple[str, Markup], ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]
    hidden: int
    hidden_mechanisms: int


@dataclass(frozen=True)
class Page:
    """All that the templates are given."""

    folder: Folder
    answer: outcome.Answer
    lead: DetectorSummary | None
    pictures: Markup
    score_chart: Markup
    p_value_chart: Markup
    causes: tuple[CauseCard, ...]
    cards: tuple[Card, ...]
    flagged: int
    mechanisms: tuple[MechanismCard, ...]
    localization: Localization | None
    left_out: tuple[LeftOut, ...]
    doubtful: tuple[LeftOut, ...]
    unjudged: tuple[LeftOut, ...]
    judged: int
    expected: str


def build(folder: Folder) -> Page:
    """Choose and count everything the page shows."""
    found = embedded.load(folder.path, _worth_showing(folder))
    judged = folder.verdicts - folder.decisions.get("inconclusive", 0)
    return Page(
        folder=folder,
        answer=outcome.answer(folder),
        lead=outcome.lead_of(folder.run.detectors),
        pictures=found.definitions,
        score_chart=_score_chart(folder),
        p_value_chart=_p_value_chart(folder),
        causes=_causes(folder),
        cards=tuple(_card(folder, verdict, found) for verdict in folder.flagged),
        flagged=folder.decisions.get("flag", 0),
        mechanisms=tuple(
            _mechanism(folder, one, found) for one in folder.run.mechanisms[:MOST_MECHANISMS]
        ),
        localization=_localization(folder),
        left_out=_left_out(folder.left_out, found),
        doubtful=_left_out(folder.doubtful, found),
        unjudged=_left_out(folder.unjudged, found),
        judged=judged,
        expected=outcome.about(judged * folder.run.budget),
    )


def _worth_showing(folder: Folder) -> Iterator[ExampleRow]:
    """Examples whose preview is wanted, most important first: the page has a limited size."""
    cards = folder.flagged
    mechanisms = folder.run.mechanisms[:MOST_MECHANISMS]
    wanted = [(folder.inputs, verdict.id) for verdict in cards]
    wanted += [(folder.inputs, name) for one in mechanisms for name in one.examples[:MOST_CENTRAL]]
    wanted += [
        (folder.trusted, near.anchor) for one in cards for near in one.evidence[:MOST_EVIDENCE]
    ]
    for rows, name in wanted:
        if name in rows:
            yield rows[name]
    for groups in (folder.doubtful, folder.left_out, folder.unjudged):
        for group in _reasons(groups).values():
            yield from group.rows


def _causes(folder: Folder) -> tuple[CauseCard, ...]:
    """Declared causes that flags have, the most frequent first."""
    found = [
        CauseCard(one.name, folder.causes[one.name], one.because, one.advice)
        for one in folder.run.causes
        if folder.causes.get(one.name)
    ]
    return tuple(sorted(found, key=lambda cause: -cause.count))


def _card(folder: Folder, verdict: Verdict, found: embedded.Embedded) -> Card:
    row = folder.inputs.get(verdict.id)
    alone = "stands alone" if folder.run.compared is None else "in no group that was found"
    trusted = folder.run.trusted.explained if folder.run.trusted else {}
    return Card(
        verdict=verdict,
        listed=verdict.mechanism in [one.number for one in folder.run.mechanisms[:MOST_MECHANISMS]],
        alone=alone,
        label=row.label if row else None,
        preview=found.of(row),
        anchors=tuple(
            (near, found.of(folder.trusted.get(near.anchor)))
            for near in verdict.evidence[:MOST_EVIDENCE]
        ),
        profile=parts.small(verdict.explained, trusted),
    )


def _mechanism(folder: Folder, one: Mechanism, found: embedded.Embedded) -> MechanismCard:
    trusted = folder.run.trusted.explained if folder.run.trusted else {}
    answers = _most_frequent(one.answers)
    return MechanismCard(
        mechanism=one,
        answers=answers[:4],
        other_answers=sum(often for _, often in answers[4:]),
        causes=_most_frequent(one.causes),
        examples=tuple(
            _shown(folder.inputs.get(name), name, found) for name in one.examples[:MOST_CENTRAL]
        ),
        profile=parts.small(one.explained, trusted),
    )


def _shown(row: ExampleRow | None, name: str, found: embedded.Embedded) -> Shown:
    return Shown(name, row.answer if row else "", found.of(row))


def _most_frequent(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reasons(groups: Mapping[str, Group]) -> dict[str, Group]:
    ranked = sorted(groups.items(), key=lambda item: (-item[1].count, item[0]))
    return dict(ranked[:MOST_REASONS])


def _left_out(groups: Mapping[str, Group], found: embedded.Embedded) -> tuple[LeftOut, ...]:
    return tuple(
        LeftOut(reason, group.count, tuple(_shown(row, row.id, found) for row in group.rows))
        for reason, group in _reasons(groups).items()
    )


def _groups(folder: Folder, *, p_values: bool) -> list[histograms.Series]:
    found: list[histograms.Series] = []
    for role, label in (("calibration", "trusted, held out"), ("input", "inputs")):
        marks = folder.marks.get(role, Marks(array("d"), array("d")))
        values = marks.p_values if p_values else marks.scores
        color, beyond = ("trusted", "") if role == "calibration" else ("inputs", "flagged")
        found.append(histograms.Series(label, color, values, "" if p_values else beyond))
    return found


def _score_chart(folder: Folder) -> Markup:
    if not folder.marks:
        return Markup("")
    lead = outcome.lead_of(folder.run.detectors)
    threshold = lead.threshold if lead else None
    groups = _groups(folder, p_values=False)
    return histograms.histogram(
        "scores",
        "Scores of trusted examples and of inputs",
        "anomaly score (higher is more anomalous)",
        groups,
        histograms.axis_for(groups, threshold),
        bins=48,
        threshold=threshold,
        threshold_label="flagged to the right of this line",
    )


def _p_value_chart(folder: Folder) -> Markup:
    if not folder.marks:
        return Markup("")
    return histograms.histogram(
        "p-values",
        "p-values of trusted examples and of inputs",
        "p-value (small is more anomalous)",
        _groups(folder, p_values=True),
        drawing.Axis(0.0, 1.0),
        bins=25,
        threshold=folder.run.budget,
        threshold_label=f"budget {words.percent(folder.run.budget)}: flagged to the left",
        even=True,
    )


def _localization(folder: Folder) -> Localization | None:
    trusted = folder.run.trusted.explained if folder.run.trusted else {}
    lines = [parts.Line("trusted, mean", trusted)]
    if folder.measured:
        label = f"flagged inputs, mean of {folder.measured:,}"
        lines.append(parts.Line(label, folder.explained))
    shown = [one for one in folder.run.mechanisms if one.explained]
    room = drawing.MOST_LINES - len(lines)
    lines += [
        parts.Line(f"mechanism {one.number}, {words.count(one.size, 'input')}", one.explained)
        for one in shown[:room]
    ]
    order = list(dict.fromkeys(part for line in lines for part in line.explained))
    if not trusted or not order:
        return None
    chosen = parts.choose(order, trusted, lines, parts.MOST_PARTS)
    return Localization(
        chart=parts.chart("parts", chosen, lines),
        lines=tuple((line.label, drawing.marker(index)) for index, line in enumerate(lines)),
        rows=tuple((part, tuple(line.explained.get(part) for line in lines)) for part in chosen),
        hidden=len(order) - len(chosen),
        hidden_mechanisms=max(0, len(shown) - room),
    )
