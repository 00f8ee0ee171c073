"""Flagged and trusted inputs as points of a plane, drawn as SVG; colors come from the page."""

from markupsafe import Markup

from anomech.records import Plane
from anomech.report.words import clean, clip, count

SIDE = 240
EDGE = 10
"""Room around the points."""


def scatter(plane: Plane) -> Markup:
    """A figure: trusted inputs as rings, flagged ones as filled points, which lie above."""
    points = [*plane.trusted, *plane.flagged]
    spans = [(min(axis), max(axis)) for axis in zip(*points, strict=True)] or [(0.0, 1.0)] * 2

    def at(point: tuple[float, float]) -> tuple[float, float]:
        x, y = (
            EDGE + (SIDE - 2 * EDGE) * ((value - low) / (high - low) if high > low else 0.5)
            for value, (low, high) in zip(point, spans, strict=True)
        )
        return x, SIDE - y

    drawn = [
        Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"/>').format(kind, *at(point), size)
        for kind, size, some in (("known", 2.5, plane.trusted), ("odd", 3, plane.flagged))
        for point in some
    ]
    told = (
        f"{clip(clean(plane.words), 80)}: {count(len(plane.flagged), 'flagged input')}, "
        f"{len(plane.trusted)} trusted"
    )
    return Markup(
        '<figure class="plane"><svg viewBox="0 0 {0} {0}" role="img" aria-label="{1}">{2}</svg>'
        "<figcaption>{1}</figcaption></figure>"
    ).format(SIDE, told, Markup("").join(drawn))
