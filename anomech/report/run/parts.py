"""Where in the network the trusted set stops explaining: one row for each part, as SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.report.drawing import SHAPES, WIDTH, Axis, frame, round_steps, rule, text
from anomech.report.words import clean, clip, number

MOST_PARTS = 24
"""Rows of the large chart; a deeper network shows the parts that differ most from trusted."""
MOST_PARTS_SMALL = 6
"""Rows of the small chart on a card."""
_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 30, 128, 20, 12, 46
_SMALL_ROW, _SMALL_WIDTH, _SMALL_LEFT = 17, 250, 122


@dataclass(frozen=True)
class Line:
    """One group: its words and its mean explained fraction by part of the network."""

    label: str
    explained: Mapping[str, float]


def choose(
    parts: Sequence[str], trusted: Mapping[str, float], lines: Sequence[Line], most: int
) -> list[str]:
    """The parts to draw, in the order of the forward pass.

    If there are more than `most`, those where some line is farthest from the trusted mean.
    """
    if len(parts) <= most:
        return list(parts)

    def gap(part: str) -> float:
        middle = trusted.get(part, 1.0)
        return max((abs(line.explained.get(part, middle) - middle) for line in lines), default=0.0)

    kept = set(sorted(parts, key=lambda part: (-gap(part), parts.index(part)))[:most])
    return [part for part in parts if part in kept]


def chart(name: str, parts: Sequence[str], lines: Sequence[Line]) -> Markup:
    """Explained fraction by part, one marker a group, from the first part (top) to the last.

    Args:
        name: unique on the page.
        parts: from `choose`.
        lines: at most `drawing.MOST_LINES`; the first is the trusted set.
    """
    values = [line.explained[part] for line in lines for part in parts if part in line.explained]
    axis = Axis(max(-1.0, min([0.0, *values])), min(2.0, max([1.0, *values])))
    base = _TOP + _ROW * len(parts)
    drawn = [_grid(axis, parts, base)]
    # The trusted line comes last, so that nothing hides what everything is compared with.
    drawn += [_marks(axis, parts, line, index) for index, line in reversed([*enumerate(lines)])]
    description = "; ".join(
        f"{line.label}: "
        + ", ".join(
            f"{clip(part, 60)} {line.explained[part]:.2f}"
            for part in parts
            if part in line.explained
        )
        for line in lines
    )
    title = "Explained fraction by part of the network, first part at the top"
    return frame(name, title, description, base + _BOTTOM, drawn)


def small(explained: Mapping[str, float], trusted: Mapping[str, float]) -> Markup:
    """Bars of one input's or mechanism's explained fraction, each with the trusted mean as a tick.

    Returns:
        An SVG, or nothing if nothing was measured.
    """
    parts = choose(list(explained), trusted, [Line("", explained)], MOST_PARTS_SMALL)
    if not parts:
        return Markup("")
    words = ", ".join(
        f"{clip(part, 60)} {explained[part]:.2f}"
        + (f" (trusted {trusted[part]:.2f})" if part in trusted else "")
        for part in parts
    )
    rows = Markup("").join(
        _bar(index, part, explained[part], trusted.get(part)) for index, part in enumerate(parts)
    )
    return Markup(
        '<svg class="small" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(_SMALL_WIDTH, _SMALL_ROW * len(parts), f"Explained fraction: {clean(words)}", rows)


def _bar(index: int, part: str, value: float, trusted: float | None) -> Markup:
    y = index * _SMALL_ROW
    span = _SMALL_WIDTH - _SMALL_LEFT - 34

    def wide(share: float) -> float:
        return span * min(1.0, max(0.0, share))

    parts = [
        text(_SMALL_LEFT - 6, y + 12, clip(part, 20), "end"),
        Markup('<rect class="track" x="{}" y="{}" width="{}" height="8"/>').format(
            _SMALL_LEFT, y + 4, span
        ),
        Markup('<rect class="flagged" x="{}" y="{}" width="{:.1f}" height="8"/>').format(
            _SMALL_LEFT, y + 4, wide(value)
        ),
        text(_SMALL_LEFT + span + 6, y + 12, f"{value:.2f}"),
    ]
    if trusted is not None:
        parts.append(
            Markup('<rect class="tick" x="{:.1f}" y="{}" width="2.5" height="14"/>').format(
                _SMALL_LEFT + wide(trusted) - 1.25, y + 1
            )
        )
    return Markup("").join(parts)


def _grid(axis: Axis, parts: Sequence[str], base: float) -> Markup:
    drawn = []
    for tick in round_steps(axis.low, axis.high, 5):
        x = _x(axis, tick)
        drawn.append(rule(x, _TOP, x, base, "grid"))
        drawn.append(text(x, base + 16, number(tick), "middle"))
    for index, part in enumerate(parts):
        y = _TOP + _ROW * (index + 0.5)
        drawn.append(rule(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        drawn.append(text(_LEFT - 8, y + 4, clip(part, 16), "end", "label"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    drawn.append(text(middle, base + 38, "share explained by the trusted set", "middle", "label"))
    return Markup("").join(drawn)


def _marks(axis: Axis, parts: Sequence[str], line: Line, index: int) -> Markup:
    points = [
        (_x(axis, line.explained[part]), _TOP + _ROW * (row + 0.5))
        for row, part in enumerate(parts)
        if part in line.explained
    ]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    drawn = [Markup('<polyline class="stroke-{}" points="{}"/>').format(index, path)]
    mark = Markup('<path class="line-{}" transform="translate({:.1f} {:.1f})" d="{}"/>')
    drawn += [mark.format(index, x, y, SHAPES[index]) for x, y in points]
    return Markup("").join(drawn)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * axis.place(value)
