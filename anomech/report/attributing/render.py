"""The page of a backdoor attribution, made from `attribution.json` alone.

As the other reports it asks for nothing outside itself, runs no script and takes every word for
hostile.
"""

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anomech import records
from anomech.records import HeadAttribution
from anomech.report.attributing.pictures import curve_picture, heat, lines
from anomech.report.page import write_page

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
SHOWN = 10
"""Heads that are listed."""


@dataclass(frozen=True)
class Page:
    """All that the template is given."""

    run: HeadAttribution
    heat: Markup
    success: Markup
    utility: Markup
    probe: Markup
    top: tuple[tuple[int, int, float], ...]
    enough: int | None

    @property
    def all_heads(self) -> int:
        """Heads of all blocks."""
        return self.run.blocks * self.run.heads


def render(path: Path) -> Path:
    """Write `report.html` into the folder of an attribution.

    Raises:
        RunError: it is no such folder, its file is damaged, or the page cannot be written.
    """
    run = records.read_top(Path(path), "attribution.json", HeadAttribution, "attribute")
    page = Page(
        run=run,
        heat=heat(run.effects),
        success=curve_picture(
            "success", run.ablation.heads, run.ablation.success, run.control.success, run.success
        ),
        utility=curve_picture(
            "utility", run.ablation.heads, run.ablation.utility, run.control.utility, 1.0
        ),
        probe=lines(run.probe, run.probe_control),
        top=_top(run),
        enough=enough(run),
    )
    values = {"page": page, "run": run}
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["attributing.css"])


def enough(run: HeadAttribution) -> int | None:
    """The fewest heads without which nine tenths of the success and little utility are gone."""
    cut = zip(run.ablation.heads, run.ablation.success, run.ablation.utility, strict=True)
    return next(
        (heads for heads, left, kept in cut if left <= 0.1 * run.success and kept >= 0.95), None
    )


def _top(run: HeadAttribution) -> tuple[tuple[int, int, float], ...]:
    every = [
        (block, head, value)
        for block, row in enumerate(run.effects)
        for head, value in enumerate(row)
    ]
    return tuple(sorted(every, key=lambda each: -each[2])[:SHOWN])
