"""The distance matrix as a drawing: one cell for each pair, darker is nearer."""

from collections.abc import Sequence

from markupsafe import Markup

from anomech.records.federation import ClientRow, MethodResult
from anomech.report.drawing import WIDTH, frame, text
from anomech.report.words import number

LEFT = 96
TOP = 14
MOST = 120
"""Clients of one drawing."""


def matrix(name: str, result: MethodResult) -> Markup | None:
    """The drawing of a method's distances; None if it measures none, or of too many clients.

    Args:
        name: unique on the page.
        result: of the method.
    """
    rows = result.distances
    if not rows or len(rows) > MOST:
        return None
    order = in_order(result.clients)
    side = (WIDTH - LEFT - 4) / len(order)
    known = [each for row in rows for each in row if each is not None]
    high = max([*known, 1e-9])
    parts = [
        _cell(
            (LEFT + x * side, TOP + y * side, side * 0.94),
            rows[row][column],
            _near(result, row, column, rows[row][column]),
            high,
        )
        for y, row in enumerate(order)
        for x, column in enumerate(order)
    ]
    step = max(1, round(14 / side))
    parts += [
        text(LEFT - 6, TOP + (y + 0.5) * side + 4, _told(result.clients[row]), "end")
        for y, row in enumerate(order)
        if y % step == 0
    ]
    return frame(
        f"matrix-{name}",
        f"Distances of {result.name}",
        f"From each client (row) to each client (column); from {number(min([*known, 0.0]))} (dark) "
        f"to {number(high)} (light). Blue cells {blue(result)}.",
        TOP + side * len(order) + 6,
        parts,
    )


def in_order(clients: Sequence[ClientRow]) -> list[int]:
    """Places of clients: by true group, honest ones first, then by name."""
    return sorted(
        range(len(clients)),
        key=lambda place: (clients[place].group, clients[place].malicious, clients[place].name),
    )


def _told(client: ClientRow) -> str:
    group = f" ({client.group})" if client.group else ""
    return f"{client.name[-14:]}{'!' if client.malicious else ''}{group}"


def blue(result: MethodResult) -> str:
    """What blue cells have in common."""
    if result.limit is None:
        return "are of clients that share a model"
    return f"lie below the limit of {number(result.limit)}"


def _near(result: MethodResult, row: int, column: int, value: float | None) -> bool:
    if result.limit is None:
        return result.clients[row].model == result.clients[column].model
    return value is not None and value < result.limit


def _cell(
    place: tuple[float, float, float], value: float | None, near: bool, high: float
) -> Markup:
    shade = 0.0 if value is None else 1 - max(0.0, value) / high
    x, y, side = place
    return Markup(
        '<rect class="{}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}" '
        'fill-opacity="{:.3f}"/>'
    ).format("trusted" if near else "inputs", x, y, side, side, shade)
