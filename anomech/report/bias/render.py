"""What a model does by group, as a page, from `bias.json` alone. It gives no verdict."""

from pathlib import Path

from anomech import records
from anomech.records.bias import BiasRun
from anomech.report.page import write_page
from anomech.report.tables import Table
from anomech.report.words import percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 24
"""Groups and labels together that are shown, the worst first."""


def render(out: Path) -> Path:
    """Write `report.html` into the folder of a look at bias.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    run = records.read_top(Path(out), "bias.json", BiasRun, "bias")
    values = {"run": run, "headline": headline(run), "tables": tables(run)}
    return write_page(Path(out) / FILE, TEMPLATES, values)


def headline(run: BiasRun) -> str:
    """The worst group, and the worst group and label together."""
    if not run.groups:
        return "No example has a group."
    low, high = run.groups[0], run.groups[-1]
    said = (
        f"{low.group} is answered worst, {percent(low.accuracy)} rightly, and {high.group} best, "
        f"{percent(high.accuracy)}"
    )
    worst = run.worst
    if worst is None:
        return f"{said}."
    return (
        f"{said}; worst of all are examples of {worst.group} labeled {worst.label}, "
        f"{percent(worst.accuracy)} of {worst.examples}."
    )


def tables(run: BiasRun) -> list[Table]:
    """Groups, labels in them, definitions, and probes and salience if they were measured."""
    found = [_groups(run), _cells(run), _definitions(run)]
    if run.probes:
        found.append(_probes(run))
    if run.salience:
        found.append(_salience(run))
    return found


def _groups(run: BiasRun) -> Table:
    return Table(
        "Accuracy by group",
        "With Wilson's interval at 95 %; the worst group counts, not the mean.",
        ("group", "examples", "accuracy", "from", "to"),
        tuple(
            (row.group, f"{row.examples:,}", *map(percent, (row.accuracy, row.low, row.high)))
            for row in run.groups
        ),
    )


def _cells(run: BiasRun) -> Table:
    return Table(
        "Accuracy by group and label",
        "The worst first. A label that is answered well in one group and not in another is what a "
        "shortcut looks like: the model reads the group, or what comes with it.",
        ("group", "label", "examples", "accuracy"),
        tuple(
            (row.group, row.label, f"{row.examples:,}", percent(row.accuracy))
            for row in run.cells[:SHOWN]
        ),
    )


def _definitions(run: BiasRun) -> Table:
    return Table(
        "Definitions of fairness, side by side",
        "The largest gap between two groups, zero is even. The definitions conflict: where groups "
        "differ in how common labels are, no model that errs can meet all of them. Which of them "
        "matters is for people to say; this page gives no verdict.",
        ("definition", "largest gap", "mean over classes", "class", "lowest", "highest"),
        tuple(
            (
                row.name,
                "too few examples" if row.gap is None else f"{row.gap:.3f}",
                "" if row.mean is None or not row.worst else f"{row.mean:.3f}",
                *(row.worst, row.low, row.high),
            )
            for row in run.definitions
        ),
    )


def _probes(run: BiasRun) -> Table:
    chance = 1 / max(1, len(run.groups))
    return Table(
        "What states tell of the group",
        f"Balanced accuracy of a linear probe, {chance:.2f} is chance. The control are groups that "
        "were dealt out anew within each label: what goes beyond it is in the states and not in "
        "the labels. What is left when the probe's directions are taken out is told by proxies.",
        ("layer", "probe", "control", "left without its directions", "silhouette of groups"),
        tuple(
            (row.place, *(f"{v:.2f}" for v in (row.told, row.control, row.left, row.silhouette)))
            for row in run.probes
        ),
    )


def _salience(run: BiasRun) -> Table:
    return Table(
        "Salience outside of the object",
        "Share of all salience (Grad-CAM) that lies outside of the given masks, beside the share "
        "of the picture that does. More outside than its area is a model that looks past the "
        "object.",
        ("examples of", "how many", "salience outside", "area outside"),
        tuple(
            (row.who, f"{row.examples:,}", percent(row.outside), percent(row.area))
            for row in run.salience
        ),
    )
