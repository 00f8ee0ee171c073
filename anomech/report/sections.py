"""What each section of the page shows, chosen and counted; words and looks are in templates/."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.records import DetectorSummary, Evidence, ExampleRow, Mechanism, Verdict
from anomech.report import charts, parts, previews, words
from anomech.report.load import Folder

MOST_CARDS = 60
"""Flagged inputs in the gallery."""
OPEN_CARDS = 12
"""Of them, those that are not folded away."""
MOST_MECHANISMS = 12
MOST_EVIDENCE = 4
MOST_CENTRAL = 8
MOST_FINDINGS = 50
MOST_REASONS = 20
MOST_LEFT_OUT = 6


@dataclass(frozen=True)
class Shown:
    """One example with its preview."""

    id: str
    answer: str
    preview: Markup


@dataclass(frozen=True)
class Card:
    """One flagged input: its verdict, preview, nearest anchors and small chart.

    `listed` says whether its mechanism is on the page, so that a link leads somewhere.
    """

    verdict: Verdict
    listed: bool
    label: str | None
    preview: Markup
    anchors: tuple[tuple[Evidence, Markup], ...]
    profile: Markup


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
    """Examples left out for one reason."""

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
    answer: words.Answer
    lead: DetectorSummary | None
    pictures: Markup
    score_chart: Markup
    p_value_chart: Markup
    cards: tuple[Card, ...]
    flagged: int
    mechanisms: tuple[MechanismCard, ...]
    localization: Localization | None
    left_out: tuple[LeftOut, ...]
    unjudged: tuple[LeftOut, ...]
    judged: int
    expected: float


def build(folder: Folder) -> Page:
    """Choose and count everything the page shows."""
    flagged = folder.flagged
    rows = list(_worth_showing(folder, flagged))
    found = previews.load(folder.path, rows)
    judged = sum(verdict.decision != "inconclusive" for verdict in folder.verdicts)
    return Page(
        folder=folder,
        answer=words.answer(folder),
        lead=words.lead_of(folder.run.detectors),
        pictures=found.definitions,
        score_chart=_score_chart(folder),
        p_value_chart=_p_value_chart(folder),
        cards=tuple(_card(folder, verdict, found) for verdict in flagged[:MOST_CARDS]),
        flagged=len(flagged),
        mechanisms=tuple(
            _mechanism(folder, one, found) for one in folder.run.mechanisms[:MOST_MECHANISMS]
        ),
        localization=_localization(folder, flagged),
        left_out=_left_out(folder, found, inputs=False),
        unjudged=_left_out(folder, found, inputs=True),
        judged=judged,
        expected=judged * folder.run.budget,
    )


def _worth_showing(folder: Folder, flagged: Sequence[Verdict]) -> Iterator[ExampleRow]:
    """Examples whose preview is wanted, most important first: the page has a limited size."""
    cards = flagged[:MOST_CARDS]
    mechanisms = folder.run.mechanisms[:MOST_MECHANISMS]
    wanted = [(folder.inputs, verdict.id) for verdict in cards]
    wanted += [(folder.inputs, name) for one in mechanisms for name in one.examples[:MOST_CENTRAL]]
    wanted += [
        (folder.trusted, near.anchor) for one in cards for near in one.evidence[:MOST_EVIDENCE]
    ]
    for rows, name in wanted:
        if name in rows:
            yield rows[name]
    for inputs in (False, True):
        for group in _reasons(folder, inputs).values():
            yield from group[:MOST_LEFT_OUT]


def _card(folder: Folder, verdict: Verdict, found: previews.Previews) -> Card:
    row = folder.inputs.get(verdict.id)
    trusted = folder.run.trusted.explained if folder.run.trusted else {}
    return Card(
        verdict=verdict,
        listed=verdict.mechanism in [one.number for one in folder.run.mechanisms[:MOST_MECHANISMS]],
        label=row.label if row else None,
        preview=found.of(row),
        anchors=tuple(
            (near, found.of(folder.trusted.get(near.anchor)))
            for near in verdict.evidence[:MOST_EVIDENCE]
        ),
        profile=parts.small(verdict.explained, trusted),
    )


def _mechanism(folder: Folder, one: Mechanism, found: previews.Previews) -> MechanismCard:
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


def _shown(row: ExampleRow | None, name: str, found: previews.Previews) -> Shown:
    return Shown(name, row.answer if row else "", found.of(row))


def _most_frequent(counts: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reasons(folder: Folder, inputs: bool) -> dict[str, list[ExampleRow]]:
    groups: dict[str, list[ExampleRow]] = {}
    for row in folder.examples:
        if not row.used and (row.role == "input") == inputs:
            groups.setdefault(row.reason or "no reason was recorded", []).append(row)
    ranked = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return dict(ranked[:MOST_REASONS])


def _left_out(folder: Folder, found: previews.Previews, *, inputs: bool) -> tuple[LeftOut, ...]:
    return tuple(
        LeftOut(
            reason, len(rows), tuple(_shown(row, row.id, found) for row in rows[:MOST_LEFT_OUT])
        )
        for reason, rows in _reasons(folder, inputs).items()
    )


def _groups(folder: Folder, *, p_values: bool) -> list[charts.Series]:
    found: list[charts.Series] = []
    for role, label in (("calibration", "trusted, kept for calibration"), ("input", "inputs")):
        rows = [row for row in folder.scores if row.role == role]
        values = [row.p_value if p_values else row.score for row in rows]
        color, beyond = ("trusted", "") if role == "calibration" else ("inputs", "flagged")
        found.append(charts.Series(label, color, values, "" if p_values else beyond))
    return found


def _score_chart(folder: Folder) -> Markup:
    if not folder.scores:
        return Markup("")
    lead = words.lead_of(folder.run.detectors)
    threshold = lead.threshold if lead else None
    groups = _groups(folder, p_values=False)
    return charts.histogram(
        "scores",
        "Scores of trusted examples and of inputs",
        "anomaly score (higher is more anomalous)",
        groups,
        charts.axis_for(groups, threshold),
        bins=48,
        threshold=threshold,
        threshold_label="flagged to the right of this line",
    )


def _p_value_chart(folder: Folder) -> Markup:
    if not folder.scores:
        return Markup("")
    return charts.histogram(
        "p-values",
        "p-values of trusted examples and of inputs",
        "p-value (small is more anomalous)",
        _groups(folder, p_values=True),
        charts.Axis(0.0, 1.0),
        bins=25,
        threshold=folder.run.budget,
        threshold_label=f"budget {words.percent(folder.run.budget)}: flagged to the left",
        even=True,
    )


def _localization(folder: Folder, flagged: Sequence[Verdict]) -> Localization | None:
    trusted = folder.run.trusted.explained if folder.run.trusted else {}
    measured = [verdict.explained for verdict in flagged if verdict.explained]
    lines = [parts.Line("trusted, mean", trusted)]
    if measured:
        lines.append(parts.Line(f"flagged inputs, mean of {len(measured):,}", _mean(measured)))
    shown = [one for one in folder.run.mechanisms if one.explained]
    room = parts.MOST_LINES - len(lines)
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
        lines=tuple((line.label, parts.marker(index)) for index, line in enumerate(lines)),
        rows=tuple((part, tuple(line.explained.get(part) for line in lines)) for part in chosen),
        hidden=len(order) - len(chosen),
        hidden_mechanisms=max(0, len(shown) - room),
    )


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    often: Counter[str] = Counter()
    for row in rows:
        for part, value in row.items():
            totals[part] = totals.get(part, 0.0) + value
            often[part] += 1
    return {part: total / often[part] for part, total in totals.items()}
