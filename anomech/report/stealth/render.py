"""What attacks leave and what finds them, as a page and as Markdown, from `stealth.json` alone."""

from collections.abc import Sequence
from pathlib import Path

from anomech import records
from anomech.records.stealth import Repaired, Scanned, StealthCell, StealthRun
from anomech.report.page import write_page
from anomech.report.tables import Table, as_markdown
from anomech.report.words import count, percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


def render(out: Path) -> Path:
    """Write `report.html` into a folder of a bench of stealth.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    run = records.read_top(Path(out), "stealth.json", StealthRun, "bench")
    values = {"run": run, "headline": headline(run), "tables": tables(run)}
    return write_page(Path(out) / FILE, TEMPLATES, values)


def headline(run: StealthRun) -> str:
    """Which attack is planted most, and how much of it its trigger does alone."""
    if not run.cells:
        return "No attack has been measured."
    best = max(run.cells, key=lambda cell: cell.planted)
    most = max(run.cells, key=lambda cell: cell.carried)
    return (
        f"{count(len(run.cells), 'attack')}: {best.attack} plants most, {percent(best.planted)} "
        f"above a clean network; of {most.attack}'s success of {percent(most.success)} its trigger "
        f"reaches {percent(most.carried)} on a network that nothing was planted in."
    )


def tables(run: StealthRun) -> list[Table]:
    """Success, traces in pixels, features and weights, repairs, detectors and scanners."""
    cells = run.cells
    return [_planted(cells), _pixels(cells), _features(cells), _weights(cells), *_met(run)]


def _planted(cells: Sequence[StealthCell]) -> Table:
    return Table(
        "What is planted",
        "Success of the trigger on the attacked network and on its clean twin; only the "
        "difference was planted.",
        ("attack", "accuracy", "twin's accuracy", "success", "on the clean twin", "planted"),
        tuple(
            (
                cell.attack,
                *map(percent, (cell.accuracy, cell.clean_accuracy, cell.success)),
                *map(percent, (cell.carried, cell.planted)),
            )
            for cell in cells
        ),
    )


def _pixels(cells: Sequence[StealthCell]) -> Table:
    return Table(
        "In pixels",
        "Mean over test images; a high PSNR and an SSIM near 1 are hard to see.",
        ("attack", "largest change, gray levels", "length", "PSNR, dB", "SSIM"),
        tuple(
            (
                cell.attack,
                *(f"{v:.2f}" for v in (cell.inputs.linf, cell.inputs.l2, cell.inputs.psnr)),
                f"{cell.inputs.ssim:.3f}",
            )
            for cell in cells
        ),
    )


def _features(cells: Sequence[StealthCell]) -> Table:
    return Table(
        "In features",
        "Triggered images beside images answered as the target, at the input of the last "
        "layer. A silhouette of 1 and a large distance are apart; a high Davies-Bouldin index "
        "is mixed.",
        ("attack", "silhouette", "Davies-Bouldin", "sliced Wasserstein"),
        tuple(
            (
                cell.attack,
                f"{cell.features.silhouette:.3f}",
                f"{cell.features.davies_bouldin:.2f}",
                f"{cell.features.wasserstein:.3f}",
            )
            for cell in cells
        ),
    )


def _weights(cells: Sequence[StealthCell]) -> Table:
    return Table(
        "In weights",
        "The channel whose Lipschitz bound stands out most from its layer, in deviations, and "
        "how many stand out by three; by how much the trigger moves one channel of the last "
        "map more than all. In brackets the clean twin.",
        ("attack", "farthest channel", "beyond three deviations", "activation change"),
        tuple(
            (
                cell.attack,
                f"{cell.weights.lipschitz:.2f} ({cell.clean_weights.lipschitz:.2f})",
                f"{cell.weights.outliers} ({cell.clean_weights.outliers})",
                f"{cell.weights.activated:.2f} ({cell.clean_weights.activated:.2f})",
            )
            for cell in cells
        ),
    )


def _met(run: StealthRun) -> list[Table]:
    """Repairs, detectors and scanners, if there are any."""
    cells = run.cells
    if not cells:
        return []
    found = []
    if names := [each.repair for each in cells[0].repaired]:
        rows = [[_repaired(each) for each in cell.repaired] for cell in cells]
        words = (
            f"Accuracy / success, and DER in brackets, after a repair by {run.trusted} trusted "
            "images. A success that the clean twin has too is not a repair's fault."
        )
        found.append(_beside("After repairs", words, names, cells, rows))
    if names := [each.detector for each in cells[0].detected]:
        rows = [[f"{each.auroc:.3f} ({each.der:.3f})" for each in cell.detected] for cell in cells]
        words = (
            "AUROC of triggered images that worked against clean ones, and in brackets DER at "
            "the threshold that 5 % of trusted images lie above."
        )
        found.append(_beside("Detectors", words, names, cells, rows))
    if names := [each.scanner for each in cells[0].scanned]:
        rows = [[_scanned(each) for each in cell.scanned] for cell in cells]
        words = (
            "The class that stands out most, whether the attack leads there, and its statistic; in "
            "brackets the largest one of the clean twin."
        )
        found.append(_beside("Scanners", words, names, cells, rows))
    return found


def _beside(
    title: str,
    words: str,
    names: Sequence[str],
    cells: Sequence[StealthCell],
    rows: Sequence[Sequence[str]],
) -> Table:
    """A table with a row an attack and a column a method."""
    attacks = [cell.attack for cell in cells]
    return Table(
        title,
        words,
        ("attack", *names),
        tuple((attack, *row) for attack, row in zip(attacks, rows, strict=True)),
    )


def _repaired(each: Repaired) -> str:
    return f"{percent(each.accuracy)} / {percent(each.success)} ({each.der:.3f})"


def _scanned(each: Scanned) -> str:
    if each.found < 0:
        return "–"
    right = "right" if each.right else "wrong"
    return f"{each.found}, {right}: {each.statistic:.2f} ({each.clean:.2f})"


def markdown(run: StealthRun) -> str:
    """All tables."""
    out = [f"# {run.title}", "", run.description, "", headline(run)]
    out += as_markdown(tables(run))
    return "\n".join(out) + "\n"
