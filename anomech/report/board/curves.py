"""A measure over the position of a condition as SVG: one line a detector, ranges over seeds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from anomech.report.board.standings import Spread
from anomech.report.drawing import MOST_LINES, SHAPES, WIDTH, Axis, frame, round_steps, rule, text
from anomech.report.words import clip, number
from anomech.report.words import percent as as_percent

_LEFT, _RIGHT, _TOP, _HEIGHT, _BOTTOM = 58, 18, 30, 190, 48
_NEAR = 1 / 16
"""Values that would be closer than this share of the width are spread out."""


@dataclass(frozen=True)
class Curve:
    """One detector: its points by value of the axis."""

    label: str
    points: Mapping[float, Spread]


@dataclass(frozen=True)
class Steps:
    """Where values stand from left (0) to right (1), and `spacing`, what has to be said of it."""

    places: Mapping[float, float]
    spacing: str


def steps(values: Sequence[float]) -> Steps:
    """Places of values: in proportion if they keep apart, else by logarithm, else evenly."""
    known = sorted(set(values))
    if len(known) == 1:
        return Steps({known[0]: 0.5}, "")
    plain = _between(known)
    if _apart(plain):
        return Steps(plain, "")
    if known[0] > 0:
        logarithms = _between([math.log(value) for value in known])
        if _apart(logarithms):
            places = dict(zip(known, logarithms.values(), strict=True))
            return Steps(places, "logarithmic")
    last = len(known) - 1
    return Steps({value: index / last for index, value in enumerate(known)}, "in equal steps")


def curves(
    name: str,
    title: str,
    x_label: str,
    lines: Sequence[Curve],
    axis: Axis,
    *,
    percent: bool = False,
    level: float | None = None,
) -> Markup:
    """Lines over the steps of a condition.

    Args:
        name: unique on the page.
        title: what the picture shows; stands above it too.
        x_label: what the steps are of.
        lines: at most `drawing.MOST_LINES`; markers as in the legend, in this order.
        axis: the vertical one.
        percent: whether its ticks are written as percent.
        level: what was asked for, as a dashed line; None for none.
    """
    across = steps([value for line in lines for value in line.points])
    spacing = f" ({across.spacing})" if across.spacing else ""
    drawn = [
        _frame(axis, across, clip(x_label, 50) + spacing, percent),
        text(_LEFT, 16, title, "start", "label"),
    ]
    if level is not None:
        y = _y(axis, level)
        drawn.append(rule(_LEFT, y, WIDTH - _RIGHT, y, "even"))
    # The first line comes last, so that nothing hides it.
    for index, line in reversed([*enumerate(lines[:MOST_LINES])]):
        drawn.append(_line(axis, across, line, index))
    description = "; ".join(_in_words(line) for line in lines)
    height = _TOP + _HEIGHT + _BOTTOM
    return frame(name, f"{title} by {x_label}", description, height, drawn)


def _in_words(line: Curve) -> str:
    points = ", ".join(
        f"{number(line.points[value].mean)} at {number(value)}" for value in sorted(line.points)
    )
    return f"{line.label}: {points}"


def _between(values: Sequence[float]) -> dict[float, float]:
    low, high = values[0], values[-1]
    return {value: (value - low) / (high - low) for value in values}


def _apart(places: Mapping[float, float]) -> bool:
    at = [*places.values()]
    return all(b - a >= _NEAR for a, b in pairwise(at))


def _frame(axis: Axis, across: Steps, x_label: str, percent: bool) -> Markup:
    base = _TOP + _HEIGHT
    drawn = []
    for tick in round_steps(axis.low, axis.high, 5):
        y = _y(axis, tick)
        drawn.append(rule(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        words = as_percent(tick) if percent else number(tick)
        drawn.append(text(_LEFT - 6, y + 4, words, "end"))
    every = math.ceil(len(across.places) / 9)
    for index, (value, place) in enumerate(across.places.items()):
        x = _x(place)
        drawn.append(rule(x, base, x, base + 4, "axis"))
        if index % every == 0:
            drawn.append(text(x, base + 19, number(value), "middle"))
    drawn.append(rule(_LEFT, base, WIDTH - _RIGHT, base, "axis"))
    drawn.append(text((_LEFT + WIDTH - _RIGHT) / 2, base + 40, x_label, "middle", "label"))
    return Markup("").join(drawn)


def _line(axis: Axis, across: Steps, line: Curve, index: int) -> Markup:
    points = [(_x(across.places[value]), line.points[value]) for value in sorted(line.points)]
    path = " ".join(f"{x:.1f},{_y(axis, point.mean):.1f}" for x, point in points)
    drawn = [Markup('<polyline class="stroke-{}" points="{}"/>').format(index, path)]
    for x, point in points:
        if point.count > 1:
            low, high = _y(axis, point.low), _y(axis, point.high)
            drawn.append(rule(x, low, x, high, f"stroke-{index}"))
        drawn.append(
            Markup('<path class="line-{}" transform="translate({:.1f} {:.1f})" d="{}"/>').format(
                index, x, _y(axis, point.mean), SHAPES[index]
            )
        )
    return Markup("").join(drawn)


def _x(place: float) -> float:
    # Markers at the ends stay clear of the frame.
    return _LEFT + 10 + (WIDTH - _LEFT - _RIGHT - 20) * place


def _y(axis: Axis, value: float) -> float:
    return _TOP + _HEIGHT * (1 - axis.place(value))
