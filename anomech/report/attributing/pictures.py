"""Drawings of an attribution as SVG: a heat map of heads, curves, lines by layer."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

WIDTH, HEIGHT = 460, 190
LEFT, BOTTOM = 42, 26
CELL = 44


def heat(effects: Sequence[Sequence[float]]) -> Markup:
    """Effects by block (rows, the first below) and head (columns); red raises, blue lowers."""
    blocks, heads = len(effects), max(map(len, effects), default=0)
    most = max((abs(value) for row in effects for value in row), default=0.0) or 1.0
    size = max(8, min(CELL, 420 // max(heads, 1)))
    width, height = LEFT + size * heads + 6, BOTTOM + size * blocks + 6
    parts = [
        Markup('<svg class="heat" viewBox="0 0 {} {}" width="{}" role="img" ').format(
            width, height, width
        ),
        Markup('aria-label="Effect of each head">'),
    ]
    for block, row in enumerate(effects):
        y = size * (blocks - 1 - block)
        if size >= 12 or block % 4 == 0:
            label = Markup('<text x="{}" y="{}" class="tick end">{}</text>')
            parts.append(label.format(LEFT - 6, y + size * 0.7, block))
        for head, value in enumerate(row):
            share = abs(value) / most
            parts.append(
                Markup(
                    '<rect x="{}" y="{}" width="{}" height="{}" class="{}" fill-opacity="{:.3f}">'
                    "<title>block {}, head {}: {:+.4f}</title></rect>"
                ).format(
                    LEFT + size * head,
                    y,
                    size - 1,
                    size - 1,
                    "up" if value >= 0 else "down",
                    0.04 + 0.96 * share,
                    block,
                    head,
                    value,
                )
            )
    for head in range(0, heads, 1 if size >= 18 else 4):
        label = Markup('<text x="{}" y="{}" class="tick middle">{}</text>')
        parts.append(label.format(LEFT + size * (head + 0.5), height - 12, head))
    parts.append(Markup('<text x="4" y="12" class="tick">block</text></svg>'))
    return Markup("").join(parts)


def curve_picture(
    words: str,
    heads: Sequence[int],
    ours: Sequence[float],
    control: Sequence[float],
    before: float,
) -> Markup:
    """A share against the number of silenced heads, which doubles from step to step."""
    xs = [*range(len(heads) + 1)]
    labels = ["0", *map(str, heads)]
    top = max(1.0, *ours, *control)
    return _chart(
        words,
        labels,
        [("ours", [before, *ours]), ("control", [before, *control])],
        xs,
        top,
        "heads silenced",
    )


def lines(probe: Mapping[str, float], control: Mapping[str, float]) -> Markup:
    """Accuracy of a probe by place of the stream, and that of the clean model."""
    if not probe:
        return Markup("")
    labels = [name.removeprefix("block.").replace("embedding", "in") for name in probe]
    series = [("ours", list(probe.values()))]
    if control:
        series.append(("control", list(control.values())))
    return _chart("accuracy", labels, series, [*range(len(labels))], 1.0, "place in the stream")


def _chart(
    words: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    xs: Sequence[int],
    top: float,
    below: str,
) -> Markup:
    inner_w, inner_h = WIDTH - LEFT - 12, HEIGHT - BOTTOM - 22
    step = inner_w / max(len(xs) - 1, 1)

    def place(x: float, value: float) -> tuple[float, float]:
        return LEFT + step * x, 10 + inner_h * (1 - value / top)

    parts = [
        Markup('<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, words
        )
    ]
    for value in (0, 0.25, 0.5, 0.75, 1.0):
        _, y = place(0, value)
        grid = Markup('<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" class="grid"/>')
        parts.append(grid.format(LEFT, WIDTH - 12, y, y))
        label = Markup('<text x="{}" y="{:.1f}" class="tick end">{:.0%}</text>')
        parts.append(label.format(LEFT - 6, y + 4, value))
    every = max(1, len(labels) // 12)
    for number, said in enumerate(labels):
        if number % every == 0:
            x, _ = place(number, 0)
            tick = Markup('<text x="{:.1f}" y="{}" class="tick middle">{}</text>')
            parts.append(tick.format(x, HEIGHT - 24, said))
    for name, values in series:
        places = [place(x, value) for x, value in zip(xs, values, strict=True)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(Markup('<polyline points="{}" class="{}"/>').format(points, name))
    words_below = Markup('<text x="{}" y="{}" class="tick middle">{}</text></svg>')
    parts.append(words_below.format(LEFT + inner_w / 2, HEIGHT - 6, below))
    return Markup("").join(parts)
