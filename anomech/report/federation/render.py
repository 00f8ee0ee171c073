"""The page of a federated run, made from `federation.json` alone.

Like the other pages it asks for nothing outside itself, runs no script, and treats every word as
hostile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anomech import records
from anomech.records.federation import ClientRow, FederationRun, MethodResult
from anomech.report.federation.matrix import blue, in_order, matrix
from anomech.report.page import write_page
from anomech.report.words import count, percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Shown:
    """One method on the page.

    Attributes:
        result: as recorded.
        anchor: its place on the page.
        drawing: the distance matrix, if it measures distances.
        clients: in the order of the matrix.
        groups: clients of each model, in words.
    """

    result: MethodResult
    anchor: str
    drawing: Markup | None
    clients: tuple[ClientRow, ...]
    groups: tuple[tuple[int, tuple[ClientRow, ...]], ...]


def render(out: Path) -> Path:
    """Write `report.html` into the folder of a federated run.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    run = records.read_top(Path(out), "federation.json", FederationRun, "federate")
    values = {
        "run": run,
        "shown": [_shown(place, result) for place, result in enumerate(run.methods)],
        "headline": headline(run),
        "megabytes": megabytes,
        "blue": blue,
    }
    return write_page(Path(out) / FILE, TEMPLATES, values)


def headline(run: FederationRun) -> str:
    """The outcome of the first method in one sentence."""
    if not run.methods:
        return "No method has finished."
    first = run.methods[0]
    parts = [
        f"{first.name} finds {count(first.models, 'group')} among {count(run.clients, 'client')}"
    ]
    if first.rand_index is not None:
        parts.append(f"agrees with the true groups to {first.rand_index:.2f} (adjusted Rand index)")
    parts.append(f"and reaches {percent(first.mean)} on average, {percent(first.worst)} at worst")
    ending = ""
    if first.shared is not None:
        apart = run.malicious - first.shared
        ending = f" It keeps {apart} of {count(run.malicious, 'malicious client')} apart."
    return f"{', '.join(parts)}.{ending}"


def megabytes(size: int) -> str:
    """Bytes in millions, with two digits."""
    return f"{size / 1e6:,.2f}\N{NO-BREAK SPACE}MB"


def _shown(place: int, result: MethodResult) -> Shown:
    models = sorted({row.model for row in result.clients})
    return Shown(
        result,
        f"method-{place}",
        matrix(str(place), result),
        tuple(result.clients[each] for each in in_order(result.clients)),
        tuple((model, _users(result.clients, model)) for model in models),
    )


def _users(clients: Sequence[ClientRow], model: int) -> tuple[ClientRow, ...]:
    return tuple(row for row in clients if row.model == model)
