"""What all drawings share: axes, frames, words, lines and markers, as SVG.

Drawn 480 units wide, so that the letters stay readable on a phone and in two columns on a laptop.
Colors come from the page's style sheet by class, so that they follow light, dark and print.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.report.words import clean

WIDTH = 480

SHAPES = (
    "M-5,-5H5V5H-5Z",
    "M0,-7L7,0L0,7L-7,0Z",
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0Z",
    "M0,-6L6,5H-6Z",
    "M0,6L6,-5H-6Z",
    "M-2,-6H2V-2H6V2H2V6H-2V2H-6V-2H-2Z",
    "M-6,-3H6V3H-6Z",
)
MOST_LINES = len(SHAPES)
"""Groups that one drawing can tell apart."""


@dataclass(frozen=True)
class Axis:
    """A horizontal axis.

    Attributes:
        low: value at the left end.
        high: value at the right end.
        log: whether steps are equal in the logarithm.
    """

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a value lies, from 0 (left end) to 1 (right end); values beyond are at the end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Round values along the axis, at most about six."""
        if not self.log:
            return round_steps(self.low, self.high, 6)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1,) if len(powers) > 4 else (1, 3)
        values = [step * 10.0**power for power in powers for step in steps]
        inside = [value for value in values if self.low <= value <= self.high]
        return inside[:: math.ceil(len(inside) / 6)] if len(inside) > 6 else inside


def round_steps(low: float, high: float, parts: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between two values."""
    rough = (high - low) / parts
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.99)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def frame(
    name: str, title: str, description: str, height: float, parts: Sequence[Markup]
) -> Markup:
    """An SVG with its title and description for readers who cannot see it."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {:.0f}" role="img" aria-labelledby="{}-t {}-d">'
        '<title id="{}-t">{}</title><desc id="{}-d">{}</desc>\n{}</svg>'
    ).format(
        WIDTH, height, name, name, name, clean(title), name, clean(description),
        Markup("\n").join(parts),
    )  # fmt: skip


def text(x: float, y: float, words: str, anchor: str = "start", color: str = "") -> Markup:
    """One line of text in a chart."""
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}" class="{}">{}</text>').format(
        x, y, anchor, color, clean(words)
    )


def rule(x1: float, y1: float, x2: float, y2: float, color: str) -> Markup:
    """A straight line; `color` is its class."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        color, x1, y1, x2, y2
    )


def marker(index: int) -> Markup:
    """The marker of a line, for the legend."""
    return Markup(
        '<svg class="marker" viewBox="-8 -8 16 16" aria-hidden="true">'
        '<path class="line-{}" d="{}"/></svg>'
    ).format(index, SHAPES[index])
