"""Histograms as SVG: two groups over one axis, with the line that decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from anomech.report.drawing import WIDTH, Axis, frame, rule, text
from anomech.report.words import number

_LEFT, _RIGHT = 46, 14
_PANEL, _GAP, _TOP, _BOTTOM = 84, 30, 40, 44


@dataclass(frozen=True)
class Series:
    """One group of a histogram.

    Attributes:
        label: its words.
        color: class of its bars.
        values: what is counted.
        beyond: class of the bars to the right of the line, "" for the same color.
    """

    label: str
    color: str
    values: Sequence[float]
    beyond: str = ""


def axis_for(groups: Sequence[Series], threshold: float | None) -> Axis:
    """An axis that shows the bulk of all groups and the threshold; strays fall into the end bins.

    Positive scores whose tail is long are drawn on a logarithmic axis: the trusted bulk would
    otherwise be one bar.
    """
    values = np.concatenate([np.asarray(group.values, dtype=np.float64) for group in groups])
    values = np.clip(values, -1e15, 1e15)  # beyond it, steps of an axis run out of digits
    low, high = (float(end) for end in np.quantile(values, (0.002, 0.998)))
    if threshold is not None and abs(threshold) < 1e15:
        low, high = min(low, threshold), max(high, threshold)
    if not high > low:
        margin = abs(low) or 1.0
        return Axis(low - margin / 2, high + margin / 2)
    middle = float(np.median(values))
    if low > 0 and high > 25 * middle:
        return Axis(low * 0.95, high * 1.05, log=True)
    margin = 0.02 * (high - low)
    return Axis(low - margin, high + margin)


def histogram(
    name: str,
    title: str,
    x_label: str,
    groups: Sequence[Series],
    axis: Axis,
    *,
    bins: int,
    threshold: float | None,
    threshold_label: str,
    even: bool = False,
) -> Markup:
    """Histograms of groups, one above the other, as shares of each group.

    Args:
        name: unique on the page, for the ids of title and description.
        title: what the picture shows, for readers who cannot see it.
        x_label: what the axis measures.
        groups: drawn from top to bottom; empty ones are left out.
        axis: from `axis_for`, or fixed.
        bins: number of bars.
        threshold: where the line stands, None for no line.
        threshold_label: what the line means.
        even: also draw the height at which all bars would be equal.
    """
    groups = [group for group in groups if group.values]
    shares = [_shares(group.values, axis, bins) for group in groups]
    top = max((max(share) for share in shares), default=1.0)
    height = _TOP + len(groups) * (_PANEL + _GAP) - _GAP + _BOTTOM
    base = height - _BOTTOM
    line = None if threshold is None else axis.place(threshold)
    parts = [
        _panel(group, share, _TOP + index * (_PANEL + _GAP), top, even, line)
        for index, (group, share) in enumerate(zip(groups, shares, strict=True))
    ]
    parts.append(_x_axis(axis, base, x_label))
    if line is not None:
        parts.append(_line(line, base, threshold_label))
    description = "; ".join(_in_words(group, threshold) for group in groups)
    return frame(name, title, description, height, parts)


def _shares(values: Sequence[float], axis: Axis, bins: int) -> list[float]:
    places = np.fromiter((axis.place(value) for value in values), np.float64, len(values))
    counts, _ = np.histogram(places, bins=bins, range=(0.0, 1.0))
    return [float(count) / len(values) for count in counts]


def _panel(
    group: Series, shares: Sequence[float], y: float, top: float, even: bool, line: float | None
) -> Markup:
    span = WIDTH - _LEFT - _RIGHT
    width = span / len(shares)
    base = y + _PANEL
    parts = [
        _panel_label(f"{group.label} ({len(group.values):,})", y - 7, line),
        text(_LEFT - 6, y + 10, f"{100 * top:.0f}\N{NO-BREAK SPACE}%", "end"),
        text(_LEFT - 6, base, "0", "end"),
    ]
    bar = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>')
    for index, share in enumerate(shares):
        if share > 0:
            tall = max(1.5, _PANEL * share / top)  # one example among thousands stays visible
            x = _LEFT + index * width
            flagged = line is not None and index / len(shares) >= line
            color = group.beyond if flagged and group.beyond else group.color
            parts.append(bar.format(color, x + 0.5, base - tall, width - 1, tall))
    if even:
        level = base - _PANEL / (len(shares) * top)
        parts.append(rule(_LEFT, level, WIDTH - _RIGHT, level, "even"))
    parts.append(rule(_LEFT, base, WIDTH - _RIGHT, base, "axis"))
    return Markup("").join(parts)


def _panel_label(words: str, y: float, line: float | None) -> Markup:
    """A label at the side where the line does not run through it."""
    if line is not None and line < 0.5:
        return text(WIDTH - _RIGHT, y, words, "end", "label")
    return text(_LEFT, y, words, "start", "label")


def _x_axis(axis: Axis, base: float, label: str) -> Markup:
    span = WIDTH - _LEFT - _RIGHT
    parts = []
    for tick in axis.ticks():
        x = _LEFT + span * axis.place(tick)
        parts.append(rule(x, base, x, base + 4, "axis"))
        parts.append(text(x, base + 17, number(tick), "middle"))
    parts.append(text(_LEFT + span / 2, base + 37, label, "middle", "label"))
    return Markup("").join(parts)


def _line(place: float, base: float, label: str) -> Markup:
    x = _LEFT + (WIDTH - _LEFT - _RIGHT) * place
    anchor = "start" if place < 0.5 else "end"
    return rule(x, 20, x, base, "threshold") + text(
        x - 4 if anchor == "end" else x, 14, label, anchor, "threshold-label"
    )


def _in_words(group: Series, threshold: float | None) -> str:
    middle = number(float(np.median(group.values)))
    return f"{group.label}: {len(group.values):,} examples, median {middle}" + (
        f", line at {number(threshold)}" if threshold is not None else ""
    )
