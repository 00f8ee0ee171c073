"""Tables of flipped scores, as a page and as Markdown, made from `flips.json` alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from anomech import records
from anomech.records.flips import COLUMNS, FlipRow, FlipRun
from anomech.report.page import write_page
from anomech.report.words import percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Line:
    """One trainer or one detector on it: means over foreign sets and seeds.

    Attributes:
        trainer: name.
        detector: name.
        transferred: whether its own score could not be climbed.
        auroc: of the columns.
        fpr95: of the columns.
        worst: smallest of `auroc`.
    """

    trainer: str
    detector: str
    transferred: bool
    auroc: tuple[float, ...]
    fpr95: tuple[float, ...]

    @property
    def worst(self) -> float:
        """Smallest of the columns."""
        return min(self.auroc)


def render(out: Path) -> Path:
    """Write `report.html` into a folder of flipped scores.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    run = records.read_top(Path(out), "flips.json", FlipRun, "bench")
    values = {
        "run": run,
        "headline": headline(run),
        "columns": COLUMNS,
        "parts": [(name, lines(rows)) for name, rows in parts(run)],
    }
    return write_page(Path(out) / FILE, TEMPLATES, values)


def parts(run: FlipRun) -> list[tuple[str, list[FlipRow]]]:
    """Rows of all foreign sets, of the near ones, of the far ones and of each."""
    found = [("all foreign sets", list(run.rows))]
    for name, near in (("near sets", True), ("far sets", False)):
        found.append((name, [row for row in run.rows if row.near is near]))
    for foreign in dict.fromkeys(row.foreign for row in run.rows):
        found.append((foreign, [row for row in run.rows if row.foreign == foreign]))
    return [(name, rows) for name, rows in found if rows]


def lines(rows: Sequence[FlipRow]) -> list[Line]:
    """A line for each detector and trainer, detectors together."""
    keys = dict.fromkeys((row.detector, row.trainer) for row in rows)
    order = list(dict.fromkeys(detector for detector, _ in keys))
    return [
        _line([row for row in rows if (row.detector, row.trainer) == key])
        for key in sorted(keys, key=lambda key: order.index(key[0]))
    ]


def _line(rows: Sequence[FlipRow]) -> Line:
    count = range(len(COLUMNS))
    return Line(
        rows[0].trainer,
        rows[0].detector,
        any(row.transferred for row in rows),
        tuple(fmean(row.auroc[place] for row in rows) for place in count),
        tuple(fmean(row.fpr95[place] for row in rows) for place in count),
    )


def headline(run: FlipRun) -> str:
    """Who holds best under the worst attack."""
    if not run.rows:
        return "No network has been judged."
    every = lines(run.rows)
    climbed = [line for line in every if not line.transferred]
    if not climbed:
        return "No detector's own score could be climbed; all were attacked by way of confidence."
    best = max(climbed, key=lambda line: line.worst)
    left = "" if len(climbed) == len(every) else " of those whose own score could be climbed"
    return (
        f"Under its worst attack {best.detector} on a network trained by {best.trainer} keeps a "
        f"mean AUROC of {best.worst:.3f}, more than any other{left}; clean it has "
        f"{best.auroc[0]:.3f}."
    )


def markdown(run: FlipRun) -> str:
    """All tables."""
    out = [f"# {run.title}", "", run.description, "", headline(run), ""]
    out += [
        "| trainer | seed | accuracy | accuracy, moved | time |",
        "| --- | --- | --- | --- | --- |",
    ]
    for each in run.networks:
        robust = "–" if each.robust is None else percent(each.robust)
        out.append(
            f"| {each.trainer} | {each.seed} | {percent(each.accuracy)} | {robust} | "
            f"{each.seconds:.0f} s |"
        )
    heads = [*(f"AUROC, {name}" for name in COLUMNS), *(f"FPR95, {name}" for name in COLUMNS)]
    for name, rows in parts(run):
        out += ["", f"## {name}", "", f"| detector | trainer | {' | '.join(heads)} |"]
        out.append("| --- " * (2 + len(heads)) + "|")
        for line in lines(rows):
            mark = " (transferred)" if line.transferred else ""
            numbers = [f"{value:.3f}" for value in (*line.auroc, *line.fpr95)]
            out.append(f"| {line.detector}{mark} | {line.trainer} | {' | '.join(numbers)} |")
    return "\n".join(out) + "\n"
