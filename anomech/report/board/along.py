"""Curves of a leaderboard: how numbers change along an axis of conditions or of subjects."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.report import drawing
from anomech.report.board.curves import Curve, curves
from anomech.report.board.measures import Measure, measures
from anomech.report.board.standings import Case, Spread, Standings, spread
from anomech.report.drawing import Axis

MOST_CURVES = 8
"""Subjects and axes that get curves."""


@dataclass(frozen=True)
class Along:
    """Curves of one subject along one axis.

    Attributes:
        name: what the steps are of.
        about: subject, data and network.
        lines: detectors with their markers.
        charts: one for each measure.
        hidden: detectors that are not drawn.
    """

    name: str
    about: str
    lines: tuple[tuple[str, Markup], ...]
    charts: tuple[Markup, ...]
    hidden: int


def build(found: Standings) -> tuple[Along, ...]:
    """Subjects whose conditions lie on one axis, or subjects that do, at two places at least."""
    series: dict[tuple[str, ...], list[Case]] = {}
    for case in found.cases:
        if case.value is not None:
            # Where there is no condition the subjects themselves are the steps.
            subject = case.subject if case.condition else ""
            key = (case.data, case.network, subject, case.group, case.axis)
            series.setdefault(key, []).append(case)
    long = [cases for cases in series.values() if len({case.value for case in cases}) > 1]
    made = [_curves(found, cases, index) for index, cases in enumerate(long[:MOST_CURVES])]
    return tuple(one for one in made if one.charts)


def _curves(found: Standings, cases: Sequence[Case], index: int) -> Along:
    by_key = {measure.key: measure for measure in measures(found)}
    drawn, names = [], _drawn(found, cases, by_key["der"])
    axis_name = cases[0].axis or "condition"
    for key in ("der", "tpr", "auroc", "fpr"):
        measure = by_key[key]
        lines = [Curve(name, _points(found, measure, cases, name)) for name in names]
        points = [point for line in lines for point in line.points.values()]
        if not points:
            continue
        chart = curves(
            f"curve-{index}-{key}",
            measure.name,
            axis_name,
            lines,
            _vertical(measure, [end for point in points for end in (point.low, point.high)]),
            percent=measure.percent,
            level=found.budget if measure.harm else None,
        )
        drawn.append(chart)
    roles = " and ".join(sorted({case.role for case in cases}, reverse=True))
    subject = cases[0].subject if cases[0].condition else ""
    about = (subject, cases[0].group, cases[0].data, cases[0].network, roles)
    return Along(
        name=axis_name,
        about=", ".join(word for word in about if word),
        lines=tuple((name, drawing.marker(number)) for number, name in enumerate(names)),
        charts=tuple(drawn),
        hidden=len(found.detectors) - len(names),
    )


def _drawn(found: Standings, cases: Sequence[Case], measure: Measure) -> list[str]:
    """Detectors with a line, the best on average first; there are only so many markers."""

    def mean(name: str) -> float:
        points = _points(found, measure, cases, name).values()
        return sum(point.mean for point in points) / len(points) if points else float("-inf")

    names = [
        name for name in found.detectors if any(found.standing(name, case).done for case in cases)
    ]
    return sorted(names, key=lambda name: -mean(name))[: drawing.MOST_LINES]


def _points(
    found: Standings, measure: Measure, cases: Sequence[Case], detector: str
) -> dict[float, Spread]:
    """Development and check cases at one place of the axis are one point."""
    values: dict[float, list[float | None]] = {}
    for case in cases:
        done = found.standing(detector, case).done
        values.setdefault(case.value or 0.0, []).extend(measure.of(card) for card in done)
    spreads = {value: spread(some) for value, some in values.items()}
    return {value: one for value, one in spreads.items() if one}


def _vertical(measure: Measure, ends: Sequence[float]) -> Axis:
    """From what is worst in the measure's own terms, or lower, to what is best."""
    if measure.harm:
        return Axis(0.0, min(1.0, max(0.01, measure.high, *ends)))
    return Axis(max(-1.0, min(measure.low, *ends)), 1.0)
