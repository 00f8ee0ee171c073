"""The leaderboard: one HTML page, made from the files of a bench folder alone.

Like the report of an audit it asks for nothing outside itself, runs no script, treats every word
as hostile, and is the same bytes for the same folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anomech.records.scorecards import Comparison
from anomech.report.board import along, controls, counts, heat, standings
from anomech.report.board.markdown import MEAN
from anomech.report.board.standings import Standings
from anomech.report.board.whiskers import Whisker, in_words, verdict, whiskers
from anomech.report.page import write_page
from anomech.report.words import count, percent

FILE = "leaderboard.html"
TEMPLATES = Path(__file__).parent / "templates"
MOST_WHISKERS = 40
"""Rows of one chart."""


@dataclass(frozen=True)
class Headline:
    """The outcome for someone who reads nothing else."""

    headline: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Versus:
    """One detector against the others by one measure: the chart and every row of its table."""

    first: str
    measure: str
    chart: Markup
    rows: tuple[tuple[Comparison, str], ...]
    hidden: int


@dataclass(frozen=True)
class Board:
    """All that the templates are given."""

    standings: Standings
    headline: Headline
    panels: tuple[heat.Panel, ...]
    checks: int
    seeds: tuple[int, ...]
    along: tuple[along.Along, ...]
    versus: tuple[Versus, ...]
    clean_budgets: tuple[float, ...]
    clean: tuple[counts.CleanRow, ...]
    controls: tuple[controls.ControlRow, ...]
    networks: tuple[counts.NetworkRow, ...]
    costs: tuple[counts.CostRow, ...]
    number_columns: tuple[str, ...]
    means: tuple[counts.NumberRow, ...]
    numbers: tuple[counts.NumberRow, ...]
    failures: tuple[counts.Failure, ...]


def render_leaderboard(out: Path) -> Path:
    """Write `leaderboard.html` into a bench folder; an unfinished bench gives a page that says so.

    Args:
        out: a folder written by `anomech bench`.

    Returns:
        The path of the page.

    Raises:
        RunError: it is no bench folder, or the page cannot be written.
    """
    out = Path(out)
    board = build(standings.read(out))
    values = {
        "board": board,
        "run": board.standings.run,
        "budget": board.standings.budget,
        "signed_interval": in_words,
        "most_rows": counts.MOST_ROWS,
    }
    return write_page(out / FILE, TEMPLATES, values, styles=["board.css"])


def build(found: Standings) -> Board:
    """Choose and count everything the page shows."""
    failures = counts.failures(found)
    panels = heat.panels(found, {(one.detector, one.reason): one.number for one in failures})
    budgets, clean = counts.clean(found)
    means, numbers = counts.numbers(found)
    seeds = {card.seed for case in found.cases for card in found.cards(case)}
    return Board(
        standings=found,
        headline=headline(found, panels),
        panels=panels,
        checks=sum(case.role == "check" for case in found.cases),
        seeds=tuple(sorted(seeds)),
        along=along.build(found),
        versus=_versus(found.run.comparisons),
        clean_budgets=budgets,
        clean=clean,
        controls=controls.build(found),
        networks=counts.networks(found),
        costs=counts.costs(found),
        number_columns=tuple(name for name, _ in counts.number_columns(found)),
        means=means,
        numbers=numbers,
        failures=failures,
    )


def headline(found: Standings, panels: Sequence[heat.Panel]) -> Headline:
    """Who leads, by how much, and whether chance explains it."""
    lead = next((panel for panel in panels if panel.rows[0].mean is not None), None)
    if lead is None:
        nothing = "Nothing follows from this page about any detector, good or bad."
        return Headline("There is no result yet.", (nothing,))
    if lead.measure.harm:
        said = "No case has anomalous inputs: only false flags on clean networks were measured."
        return Headline(said, ())
    first, *others = lead.rows
    name, measure = first.detector, lead.measure
    does = f"{name} does best: " if others else f"{name}: "
    over = f"{first.partial} so far" if first.partial else count(lead.cases, "case")
    said = f"{does}{measure.short} {measure.write(first.mean or 0.0)}, the mean over {over}."
    sentences = [_flags(found, panels, name)]
    over_cases = {
        column.name: tile.text for column, tile in zip(lead.means, first.means, strict=True)
    }
    if worst := over_cases.get("worst"):
        sentences.append(f"Its worst case has {worst}.")
    if mean := over_cases.get("mean, check"):
        worst = over_cases.get("worst, check")
        ending = f", the worst {worst}" if worst else ""
        sentences.append(f"On check cases alone the mean is {mean}{ending}.")
    if others and others[0].mean is not None:
        second = others[0]
        over = f", over {second.partial} only" if second.partial else ""
        sentences.append(
            f"Next is {second.detector}: {measure.short} {measure.write(others[0].mean)}{over}."
            + _chance(found.run.comparisons, measure.short, name, second.detector)
        )
    return Headline(said, tuple(sentence for sentence in sentences if sentence))


def _flags(found: Standings, panels: Sequence[heat.Panel], detector: str) -> str:
    """What a detector does to inputs of each kind, on average."""
    means = {
        panel.measure.key: row.mean
        for panel in panels
        for row in panel.rows
        if row.detector == detector
    }
    tpr, fpr = means.get("tpr"), means.get("fpr")
    if tpr is None or fpr is None:
        return ""
    return (
        f"Asked for at most {percent(found.budget)} false flags, it flags on average "
        f"{percent(tpr)} of the anomalous inputs, and {percent(fpr)} of the "
        "normal ones by mistake."
    )


def _chance(comparisons: Sequence[Comparison], measure: str, first: str, second: str) -> str:
    for one in comparisons:
        pair = {one.first, one.second} == {first, second}
        if pair and one.case == MEAN and one.measure == measure:
            clear = verdict(one.difference) != "open"
            return " Chance does not explain the difference." if clear else " That may be chance."
    return ""


def _versus(comparisons: Sequence[Comparison]) -> tuple[Versus, ...]:
    """One chart for each measure that a detector was compared by."""
    made = []
    for index, key in enumerate(dict.fromkeys((one.first, one.measure) for one in comparisons)):
        first, measure = key
        rows = [one for one in comparisons if (one.first, one.measure) == key]
        drawn = _whiskers(rows)
        chart = whiskers(
            f"versus-{index}",
            f"{measure} of {first} less that of each other detector",
            f"{measure}: left of 0 the other is better",
            drawn[:MOST_WHISKERS],
        )
        told = tuple((one, verdict(one.difference)) for one in rows)
        made.append(Versus(first, measure, chart, told, max(0, len(drawn) - MOST_WHISKERS)))
    return tuple(made)


def _whiskers(rows: Sequence[Comparison]) -> list[Whisker]:
    """Means over cases with the single cases behind them; without means, each case by itself."""
    singles: dict[str, list[float]] = {}
    for one in rows:
        if one.case != MEAN:
            singles.setdefault(one.second, []).append(one.difference.value)
    means = [one for one in rows if one.case == MEAN]
    if means:
        return [Whisker(one.second, one.difference, singles.get(one.second, [])) for one in means]
    return [Whisker(f"{one.second}, {one.case}", one.difference) for one in rows]
