"""Differences with their intervals as SVG: a dot and a whisker for each, and where zero is."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.records.scorecards import Interval
from anomech.report.drawing import WIDTH, Axis, frame, round_steps, text
from anomech.report.words import clip

_FAR = 1e6
"""The axis ends here; measures are shares, and this is beyond all of them."""
_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 42, 16, 16, 8, 44


@dataclass(frozen=True)
class Whisker:
    """One row: a difference with its interval, and single differences it is the mean of."""

    label: str
    interval: Interval
    singles: Sequence[float] = ()


def whiskers(name: str, title: str, x_label: str, rows: Sequence[Whisker]) -> Markup:
    """Rows of dots and whiskers over one axis that holds zero.

    Args:
        name: unique on the page.
        title: what the picture shows, for readers who cannot see it.
        x_label: what the axis measures.
        rows: from top to bottom, at least one.
    """
    ends = [end for row in rows for end in (row.interval.low, row.interval.high, *row.singles)]
    low, high = max(-_FAR, min(0.0, *ends)), min(_FAR, max(0.0, *ends))
    margin = 0.04 * (high - low) or 0.01
    axis = Axis(low - margin, high + margin)
    base = _TOP + _ROW * len(rows)
    drawn = [_grid(axis, base, x_label)]
    drawn += [_row(axis, row, _TOP + _ROW * index) for index, row in enumerate(rows)]
    description = "; ".join(f"{row.label}: {in_words(row.interval)}" for row in rows)
    return frame(name, title, description, base + _BOTTOM, drawn)


def in_words(interval: Interval) -> str:
    """A difference with its interval, such as "+0.12 [+0.08, +0.15]"."""
    return f"{signed(interval.value)} [{signed(interval.low)}, {signed(interval.high)}]"


def signed(value: float) -> str:
    """A difference with its sign and three decimals."""
    sign = "+" if value >= 0.0005 else "−" if value <= -0.0005 else ""
    return f"{sign}{abs(value):.3f}"


def verdict(interval: Interval) -> str:
    """Which side of zero a whole interval is on: "better", "worse" or "open"."""
    if interval.low > 0:
        return "better"
    return "worse" if interval.high < 0 else "open"


def _grid(axis: Axis, base: float, x_label: str) -> Markup:
    line = Markup('<line class="{}" x1="{:.1f}" y1="{}" x2="{:.1f}" y2="{}"/>')
    drawn = []
    for tick in round_steps(axis.low, axis.high, 5):
        x = _x(axis, tick)
        drawn.append(line.format("zero" if tick == 0 else "grid", x, _TOP, x, base))
        drawn.append(text(x, base + 16, _tick(tick), "middle"))
    drawn.append(text(WIDTH / 2, base + 36, x_label, "middle", "label"))
    return Markup("").join(drawn)


def _tick(value: float) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"


def _row(axis: Axis, row: Whisker, y: float) -> Markup:
    """Words above, dot and whisker below them, so that long names fit on a phone."""
    middle = y + 29
    kind = verdict(row.interval)
    x = _x(axis, row.interval.value)
    ends = _x(axis, row.interval.low), _x(axis, row.interval.high)
    drawn = [
        text(_LEFT, y + 14, clip(row.label, 34), "start", "label halo"),
        text(WIDTH - _RIGHT, y + 14, in_words(row.interval), "end", "halo"),
    ]
    dot = Markup('<circle class="single" cx="{:.1f}" cy="{:.1f}" r="2.5"/>')
    drawn += [dot.format(_x(axis, value), middle) for value in row.singles]
    drawn.append(
        Markup(
            '<path class="whisker {}" d="M{:.1f},{:.1f}H{:.1f}M{:.1f},{:.1f}v10M{:.1f},{:.1f}v10"/>'
        ).format(kind, ends[0], middle, ends[1], ends[0], middle - 5, ends[1], middle - 5)
    )
    drawn.append(
        Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="5"/>').format(kind, x, middle)
    )
    return Markup("").join(drawn)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * axis.place(value)
