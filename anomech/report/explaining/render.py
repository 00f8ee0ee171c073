"""The page of an explanation, made from the files of its folder alone.

As the other reports it asks for nothing outside itself, runs no script and takes every word for
hostile.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anomech import records
from anomech.records import ExampleRow, ExplainedRun, ExplainerResult
from anomech.report.explaining.scatter import scatter
from anomech.report.page import write_page
from anomech.report.run import embedded

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class MapRow:
    """One explainer's pictures, one for each shown input."""

    result: ExplainerResult
    pictures: tuple[Markup, ...]


@dataclass(frozen=True)
class Made:
    """A picture that an explainer made, with what it is for."""

    words: str
    picture: Markup


@dataclass(frozen=True)
class Page:
    """All that the template is given."""

    run: ExplainedRun
    definitions: Markup
    inputs: tuple[Markup, ...]
    maps: tuple[MapRow, ...]
    planes: tuple[Markup, ...]
    painted: tuple[Made, ...]
    ranking: tuple[ExplainerResult, ...]
    left_out: tuple[ExplainerResult, ...]


def render(path: Path) -> Path:
    """Write `report.html` into the folder of an explanation.

    Raises:
        RunError: it is no such folder, one of its files is damaged, or the page cannot be written.
    """
    run = records.read_top(Path(path), "explanation.json", ExplainedRun, "explain")
    found = embedded.load(Path(path), _rows(run))
    page = Page(
        run=run,
        definitions=found.definitions,
        inputs=tuple(found.of(_row(each.preview)) for each in run.shown),
        maps=tuple(
            MapRow(each, tuple(found.of(_row(one)) for one in each.maps))
            for each in run.explainers
            if each.maps
        ),
        planes=tuple(scatter(each) for result in run.explainers for each in result.planes),
        painted=tuple(
            Made(each.words, found.of(_row(each.preview)))
            for result in run.explainers
            for each in result.painted
        ),
        ranking=tuple(each for each in run.explainers if each.units and not each.why),
        left_out=tuple(each for each in run.explainers if each.why),
    )
    values = {"page": page, "run": run}
    return write_page(Path(path) / FILE, TEMPLATES, values, styles=["explaining.css"])


def _rows(run: ExplainedRun) -> Iterator[ExampleRow]:
    for each in run.shown:
        yield _row(each.preview)
    for explainer in run.explainers:
        for one in explainer.maps:
            yield _row(one)
        for made in explainer.painted:
            yield _row(made.preview)


def _row(path: str) -> ExampleRow:
    return ExampleRow(id=path, role="input", digest="", answer="", preview=path)
