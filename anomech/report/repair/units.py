"""Where a mechanism sits: one row of cells for each layer, darker where silencing tells, as SVG."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from anomech.report.drawing import WIDTH, frame, text
from anomech.report.words import clip, number

MOST_LAYERS, MOST_UNITS = 24, 64
"""Layers with the largest effects, and units of each, that are drawn."""

_ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 22, 128, 12, 10, 34


def chart(name: str, units: Mapping[str, Sequence[float]]) -> Markup:
    """Cells of units, the most effective of each layer first; nothing if none are known.

    Args:
        name: unique on the page.
        units: effect of each unit by layer, in the order of the pass; only positive ones show.
    """
    largest = max((max(values, default=0.0) for values in units.values()), default=0.0)
    if largest <= 0:
        return Markup("")
    ranked = sorted(units, key=lambda layer: -max(units[layer], default=0.0))[:MOST_LAYERS]
    layers = [layer for layer in units if layer in ranked]
    drawn = [_row(row, layer, units[layer], largest) for row, layer in enumerate(layers)]
    base = _TOP + _ROW * len(layers)
    words = f"units, the most effective first; the darkest: {number(largest)} nats"
    drawn.append(text(0, base + 22, words, "start"))
    said = ", ".join(f"{clip(layer, 40)} {max(units[layer], default=0.0):.2f}" for layer in layers)
    title = "Largest effect of silencing one unit on flagged answers, by layer"
    return frame(name, title, said, base + _BOTTOM, drawn)


def _row(row: int, layer: str, values: Sequence[float], largest: float) -> Markup:
    y = _TOP + _ROW * row
    top = sorted(values, reverse=True)[:MOST_UNITS]
    width = (WIDTH - _LEFT - _RIGHT) / max(len(top), 16)
    drawn = [text(_LEFT - 8, y + 14, clip(layer, 18), "end", "label")]
    for index, value in enumerate(top):
        x = _LEFT + width * index
        drawn.append(
            Markup(
                '<rect class="track" x="{:.1f}" y="{}" width="{:.1f}" height="16"/>'
                '<rect class="flagged" fill-opacity="{:.2f}" x="{:.1f}" y="{}" width="{:.1f}" '
                'height="16"/>'
            ).format(x, y + 2, width - 0.8, max(0.0, value) / largest, x, y + 2, width - 0.8)
        )
    return Markup("").join(drawn)
