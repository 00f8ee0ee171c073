"""The leaderboard of a bench of whole models, as one HTML page and as Markdown.

Like every page it asks for nothing outside itself, runs no script, and is the same bytes for the
same folder.
"""

from collections.abc import Sequence
from pathlib import Path

from anomech import records
from anomech.records.modelcards import CLEAN, ModelBench, NetworkCard, ScannerStanding
from anomech.report.page import write_page
from anomech.report.tables import Table, as_markdown

FILE = "leaderboard.html"
TEMPLATES = Path(__file__).parent / "templates"
MISSING = "–"
ROLES = ("check", "development")
COMBINED = "combined"


def render_models(out: Path) -> Path:
    """Write `leaderboard.html` into the folder of a bench of whole models.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    out = Path(out)
    bench = records.read_top(out, "models.json", ModelBench, "bench")
    return write_page(out / FILE, TEMPLATES, {"bench": bench, "tables": tables(bench)})


def markdown(bench: ModelBench) -> str:
    """The same tables as a document."""
    versions = ", ".join(f"{name} {version}" for name, version in bench.versions.items())
    lines = [f"# {bench.title or bench.suite}", "", bench.description, ""]
    lines += [f"`anomech bench {bench.suite}`: {bench.status}; {versions}; {bench.hardware}.", ""]
    return "\n".join([*lines[:-1], *as_markdown(tables(bench))]) + "\n"


def tables(bench: ModelBench) -> tuple[Table, ...]:
    """All tables of a bench."""
    standings = [_standings(bench, role) for role in ROLES]
    return (*(each for each in standings if each.rows), _chances(bench), _networks(bench))


def _standings(bench: ModelBench, role: str) -> Table:
    some = [each for each in bench.standings if each.role == role]
    kinds = list(dict.fromkeys(kind for each in some for kind in each.findings if kind != "all"))
    head = ("scanner", "AUROC", "Brier", "clean flagged", "attacked flagged", *kinds)
    return Table(
        f"Scanners on {role} networks",
        f"Flagged at a level of {bench.level:g}, by p-values from the clean development networks. "
        "Seconds are processor time over that of one epoch of training, median.",
        (*head, "target right", "epochs"),
        tuple(_standing(each, kinds) for each in some),
    )


def _standing(each: ScannerStanding, kinds: Sequence[str]) -> tuple[str, ...]:
    return (
        each.scanner,
        _number(each.auroc, 3),
        _number(each.brier, 3),
        _counted(each.false_findings, each.clean),
        _counted(each.findings.get("all"), each.attacked),
        *(_percent(each.findings.get(kind)) for kind in kinds),
        _percent(each.target_right),
        _number(each.epochs, 1),
    )


def _chances(bench: ModelBench) -> Table:
    scanners = list(dict.fromkeys(s for found in bench.chances.values() for s in found))
    known = {each.name: each for each in bench.networks}
    ordered = sorted(bench.chances, key=lambda name: (known[name].kind == CLEAN, name))
    return Table(
        "p-values",
        f"{bench.level:g} and less is flagged.",
        ("network", "kind", "role", *scanners),
        tuple(
            (
                name,
                known[name].kind,
                known[name].role,
                *(_number(bench.chances[name].get(scanner), 3) for scanner in scanners),
            )
            for name in ordered
        ),
    )


def _networks(bench: ModelBench) -> Table:
    return Table(
        "Networks",
        "Success is the share of triggered test images that get the attacker's label.",
        ("network", "kind", "role", "target", "accuracy", "success", "not used because"),
        tuple(_network(each) for each in bench.networks),
    )


def _network(each: NetworkCard) -> tuple[str, ...]:
    return (
        each.name,
        each.kind,
        each.role,
        MISSING if each.target is None else str(each.target),
        _percent(each.accuracy),
        _percent(each.success),
        each.reason,
    )


def _number(value: float | None, digits: int) -> str:
    return MISSING if value is None else f"{value:.{digits}f}"


def _percent(value: float | None) -> str:
    return MISSING if value is None else f"{100 * value:.0f} %"


def _counted(share: float | None, count: int) -> str:
    return MISSING if share is None else f"{round(share * count)} of {count}"
