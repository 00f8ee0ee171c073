"""One bar for each class or layer that a scanner compared, the most suspicious at the top."""

from collections.abc import Sequence

from markupsafe import Markup

from anomech.records import Compared
from anomech.report.drawing import WIDTH, Axis, frame, round_steps, rule, text
from anomech.report.words import clip, number

_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 24, 132, 46, 8, 44


def bars(name: str, scanner: str, unit: str, shown: Sequence[Compared], *, found: bool) -> Markup:
    """The statistic of each; nothing if nothing was compared.

    Args:
        name: unique on the page.
        scanner: its name.
        unit: what was compared, as a noun.
        shown: the most suspicious first.
        found: whether the first of them is a finding.
    """
    if not shown:
        return Markup("")
    values = [one.statistic for one in shown]
    low, high = min(0.0, *values), max(0.0, *values)
    axis = Axis(low, high if high > low else low + 1.0)
    base = _TOP + _ROW * len(shown)
    drawn = [_grid(axis, base)]
    drawn += [_bar(axis, row, one, flagged=found and row == 0) for row, one in enumerate(shown)]
    said = ", ".join(f"{clip(one.name, 40)} {one.statistic:.2f}" for one in shown)
    title = f"Statistic of {scanner} by {unit}, the most suspicious at the top"
    return frame(name, title, said, base + _BOTTOM, drawn)


def _grid(axis: Axis, base: float) -> Markup:
    drawn = []
    for tick in round_steps(axis.low, axis.high, 5):
        x = _x(axis, tick)
        drawn.append(rule(x, _TOP, x, base, "grid"))
        drawn.append(text(x, base + 16, number(tick), "middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    words = "statistic (higher is more suspicious)"
    drawn.append(text(middle, base + 36, words, "middle", "label"))
    return Markup("").join(drawn)


def _bar(axis: Axis, row: int, one: Compared, *, flagged: bool) -> Markup:
    y = _TOP + _ROW * row
    ends = sorted((_x(axis, 0.0), _x(axis, one.statistic)))
    color = "flagged" if flagged else "inputs"
    drawn = [
        text(_LEFT - 8, y + 16, clip(one.name, 18), "end", "label"),
        Markup('<rect class="{}" x="{:.1f}" y="{}" width="{:.1f}" height="14"/>').format(
            color, ends[0], y + 5, max(1.0, ends[1] - ends[0])
        ),
        text(max(ends[1], _LEFT) + 5, y + 16, number(one.statistic)),
    ]
    return Markup("").join(drawn)


def _x(axis: Axis, value: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * axis.place(value)
