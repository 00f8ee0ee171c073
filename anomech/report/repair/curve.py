"""How soon a mechanism comes back: share of answers by the number of poisoned examples, as SVG."""

from collections.abc import Sequence

from markupsafe import Markup

from anomech.report.drawing import SHAPES, WIDTH, frame, rule, text

_LEFT, _RIGHT, _TOP, _BASE, _HEIGHT = 46, 16, 14, 190, 240

Points = Sequence[tuple[float, float]]


def curve(name: str, known: Points, fresh: Points) -> Markup:
    """Two lines: the mechanism that was repaired, and a trigger that never was there.

    Args:
        name: unique on the page.
        known: numbers of poisoned examples and shares of the flagged answers.
        fresh: the same of the other trigger; may be empty.
    """
    counts = sorted({count for count, _ in (*known, *fresh)})
    places = {count: _x(index, len(counts)) for index, count in enumerate(counts)}
    drawn = [_grid(places)]
    drawn += [_line(places, points, index) for index, points in ((0, fresh), (1, known)) if points]
    said = "; ".join(
        f"{words}: " + ", ".join(f"{share:.0%} after {count:.0f}" for count, share in points)
        for words, points in (("flagged answers", known), ("never planted", fresh))
        if points
    )
    title = "Share of answers that are back by the number of poisoned examples"
    return frame(name, title, said, _HEIGHT, drawn)


def _grid(places: dict[float, float]) -> Markup:
    drawn = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        drawn.append(rule(_LEFT, _y(share), WIDTH - _RIGHT, _y(share), "grid"))
        drawn.append(text(_LEFT - 6, _y(share) + 4, f"{share:.0%}", "end"))
    for count, x in places.items():
        drawn.append(text(x, _BASE + 18, f"{count:.0f}", "middle"))
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    drawn.append(text(middle, _BASE + 40, "poisoned examples", "middle", "label"))
    return Markup("").join(drawn)


def _line(places: dict[float, float], points: Points, index: int) -> Markup:
    at = [(places[count], _y(share)) for count, share in points]
    joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    drawn = [Markup('<polyline class="stroke-{}" points="{}"/>').format(index, joined)]
    for x, y in at:
        drawn.append(
            Markup('<path class="line-{}" transform="translate({:.1f} {:.1f})" d="{}"/>').format(
                index, x, y, SHAPES[index]
            )
        )
    return Markup("").join(drawn)


def _x(index: int, count: int) -> float:
    return _LEFT + 12 + (WIDTH - _LEFT - _RIGHT - 24) * index / max(1, count - 1)


def _y(share: float) -> float:
    return _BASE - (_BASE - _TOP) * share
