"""What screens make of training sets, as a page and as Markdown, from `screens.json` alone."""

from collections.abc import Callable
from pathlib import Path

from anomech import records
from anomech.records.screencards import ScreenBench, ScreenCard, ScreenCase
from anomech.report.page import write_page
from anomech.report.tables import Table, as_markdown
from anomech.report.words import count, percent

FILE = "report.html"
TEMPLATES = Path(__file__).parent / "templates"


def render(out: Path) -> Path:
    """Write `report.html` into a folder of a bench of screens.

    Raises:
        RunError: it is no such folder, or the page cannot be written.
    """
    bench = records.read_top(Path(out), "screens.json", ScreenBench, "bench")
    values = {"run": bench, "headline": headline(bench), "tables": tables(bench)}
    return write_page(Path(out) / FILE, TEMPLATES, values)


def headline(bench: ScreenBench) -> str:
    """Which screen ranks best on average, and which decides best."""
    ranked = [(mean, name) for name, mean in means(bench, lambda card: card.auroc).items()]
    if not ranked:
        return "No screen has been run on a poisoned set."
    area, best = max(ranked)
    decided = [(mean, name) for name, mean in means(bench, lambda card: card.f1).items()]
    first = (
        f"{count(len(bench.cases), 'training set')}: {best} ranks best, with a mean AUROC of "
        f"{area:.3f}"
    )
    if not decided:
        return f"{first}."
    top, winner = max(decided)
    return f"{first}; {winner} decides best, with a mean F1 of {top:.2f}."


def means(bench: ScreenBench, of: Callable[[ScreenCard], float | None]) -> dict[str, float]:
    """Mean of a number over poisoned sets, by screen; of those that have it on all of them."""
    found = dict[str, float]()
    poisoned = {case.case for case in bench.cases if case.poisoned}
    for name in screens(bench):
        cards = [card for card in bench.cards if card.screen == name and card.case in poisoned]
        values = [value for card in cards if (value := of(card)) is not None]
        if values and len(values) == len(poisoned):
            found[name] = sum(values) / len(values)
    return found


def screens(bench: ScreenBench) -> list[str]:
    """Names of the screens, in the order in which they ran."""
    return list(dict.fromkeys(card.screen for card in bench.cards))


def tables(bench: ScreenBench) -> list[Table]:
    """The sets, then ranking, decision and retraining by screen and set."""
    return [
        _cases(bench),
        _matrix(
            bench,
            "How well poison is ranked",
            "AUROC; 0.5 is chance.",
            lambda card: card.auroc,
            "{:.3f}".format,
            clean=False,
        ),
        _matrix(
            bench,
            "How well suspects are chosen",
            "F1 of the suspects where the screen decides; of a clean set, in brackets, the share "
            "that it suspects.",
            lambda card: card.f1,
            "{:.2f}".format,
            clean=True,
        ),
        _matrix(
            bench,
            "Attack success after training without the suspects",
            "Share of triggered test images that a network trained anew on the rest leads to the "
            "attacker's label.",
            lambda card: card.success,
            percent,
            clean=False,
        ),
        _matrix(
            bench,
            "Accuracy after training without the suspects",
            "On clean test images.",
            lambda card: card.accuracy,
            percent,
            clean=False,
            every=True,
        ),
        _costs(bench),
    ]


def _cases(bench: ScreenBench) -> Table:
    return Table(
        "The training sets",
        "Success is the share of triggered test images that are led to the attacker's label. "
        "Development sets were looked at while methods were made, check sets were not.",
        (
            *("set", "role", "examples", "poison", "accuracy", "success"),
            *("accuracy without poison", "success without poison"),
        ),
        tuple(
            (
                *(case.case, case.role, str(case.examples), str(case.poisoned)),
                *(_told(value, percent) for value in _measures(case)),
            )
            for case in bench.cases
        ),
    )


def _measures(case: ScreenCase) -> tuple[float | None, ...]:
    return (case.accuracy, case.success, case.accuracy_without, case.success_without)


def _matrix(
    bench: ScreenBench,
    title: str,
    note: str,
    of: Callable[[ScreenCard], float | None],
    told: Callable[[float], str],
    *,
    clean: bool,
    every: bool = False,
) -> Table:
    """One row a screen, one column a set.

    Args:
        bench: what was run.
        title: of the table.
        note: how to read it.
        of: the number.
        told: the number as text.
        clean: whether sets without poison show the share that is suspected.
        every: whether sets without poison show the number, too.
    """
    shown = [case for case in bench.cases if case.poisoned or clean or every]
    cards = {(card.case, card.screen): card for card in bench.cards}
    average = means(bench, of)
    rows = []
    for name in screens(bench):
        cells = list[str]()
        for case in shown:
            card = cards.get((case.case, name))
            if card is None or card.status != "done":
                cells.append("" if card is None else card.status)
            elif case.poisoned or every:
                cells.append(_told(of(card), told))
            else:
                cells.append("" if card.false is None else f"({percent(card.false)})")
        rows.append((name, *cells, _told(average.get(name), told)))
    return Table(title, note, ("screen", *(case.case for case in shown), "mean"), tuple(rows))


def _costs(bench: ScreenBench) -> Table:
    rows = []
    for name in screens(bench):
        cards = [c for c in bench.cards if c.screen == name and c.status == "done"]
        passes = [card.evaluations for card in cards if card.evaluations is not None]
        if cards:
            seconds = sum(card.seconds for card in cards) / len(cards)
            spent = f"{sum(passes) / len(passes):.1f}" if passes else ""
            rows.append((name, spent, f"{seconds:.1f}"))
    return Table(
        "What it costs",
        "Means over the sets: forward passes an example, a backward pass as two, and seconds.",
        ("screen", "passes", "seconds"),
        tuple(rows),
    )


def _told(value: float | None, told: Callable[[float], str]) -> str:
    return "" if value is None else told(value)


def markdown(bench: ScreenBench) -> str:
    """All tables."""
    out = [
        f"# {bench.title}",
        "",
        bench.description,
        "",
        headline(bench),
        "",
        f"{bench.made_with}.",
    ]
    out += as_markdown(tables(bench))
    return "\n".join(out) + "\n"
