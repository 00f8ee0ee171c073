"""One point a network: what is left of the attack against what is kept, as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from anomech.report.drawing import MOST_LINES, SHAPES, WIDTH, frame, rule, text

_LEFT, _RIGHT, _TOP, _BASE, _HEIGHT = 52, 14, 12, 300, 350


@dataclass(frozen=True)
class Dot:
    """A point: the number of its method, what is left and what is kept, in [0, 1]."""

    method: int
    left: float
    kept: float


def scatter(name: str, label: str, methods: Sequence[str], dots: Sequence[Dot]) -> Markup:
    """Points of the best methods in front, those of all others small and gray behind them.

    Args:
        name: unique on the page.
        label: of the vertical axis.
        methods: the best first; as many as markers tell apart have one.
        dots: all points.
    """
    if not dots:
        return Markup("")
    drawn = [_grid(label)]
    drawn += [_dot(each) for each in sorted(dots, key=lambda each: -each.method)]
    said = "; ".join(
        f"{method}: mean attack success {_mean([d.left for d in dots if d.method == number]):.2f}, "
        f"mean {label} {_mean([d.kept for d in dots if d.method == number]):.2f}"
        for number, method in enumerate(methods[:MOST_LINES])
    )
    title = f"{label.capitalize()} over attack success, one point a network"
    return frame(name, title, said, _HEIGHT, drawn)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _grid(label: str) -> Markup:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(rule(_LEFT, _y(share), WIDTH - _RIGHT, _y(share), "grid"))
        drawn.append(rule(_x(share), _TOP, _x(share), _BASE, "grid"))
        drawn.append(text(_LEFT - 6, _y(share) + 4, f"{share:.0%}", "end"))
        drawn.append(text(_x(share), _BASE + 18, f"{share:.0%}", "middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    drawn.append(text(middle, _BASE + 40, "attack success", "middle", "label"))
    drawn.append(text(_LEFT, _TOP - 2, label, "start", "label"))
    return Markup("").join(drawn)


def _dot(dot: Dot) -> Markup:
    x, y = _x(dot.left), _y(dot.kept)
    if dot.method >= MOST_LINES:
        return Markup('<circle class="grid" r="2.2" cx="{:.1f}" cy="{:.1f}"/>').format(x, y)
    return Markup(
        '<path class="line-{}" fill-opacity=".85" transform="translate({:.1f} {:.1f}) scale(.7)" '
        'd="{}"/>'
    ).format(dot.method, x, y, SHAPES[dot.method])


def _x(share: float) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * share


def _y(share: float) -> float:
    return _BASE - (_BASE - _TOP - 10) * share
