"""The leaderboard of repairs: means by method and trusted set, as a page, Markdown and CSV.

The scatter plots are those of the review of backdoor mechanisms (its figure 12): what a method
keeps against what it leaves of the attack, one point a network.
"""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from anomech.records import RepairCard, write_text
from anomech.report.board.scatter import Dot, scatter
from anomech.report.drawing import MOST_LINES, marker
from anomech.report.page import write_page

FILE, TABLE, ROWS = "leaderboard.html", "leaderboard.md", "leaderboard.csv"
TEMPLATES = Path(__file__).parent / "templates"

COLUMNS = (
    *("subject", "trusted", "seed", "role", "method", "status", "accuracy_before", "accuracy"),
    *("success_before", "success", "robust_before", "robust", "der", "seconds", "of_training"),
)


@dataclass(frozen=True)
class Mean:
    """A method with one trusted set, over networks.

    Attributes:
        method: its name.
        cells: networks that it could repair.
        failed: networks that it could not.
        der: mean effectiveness of all networks, 0.5 where it could not.
        check: the same over networks that no method was made on; None if there are none.
        worst: the lowest.
        accuracy: mean share of clean images answered rightly.
        success: mean attack success.
        robust: mean share of triggered images with their true label.
        seconds: mean.
        of_training: mean forward passes, as a share of a training's.
        back: mean attack success by the number of poisoned images learned again.
    """

    method: str
    cells: int
    failed: int
    der: float
    check: float | None
    worst: float
    accuracy: float
    success: float
    robust: float
    seconds: float
    of_training: float
    back: dict[float, float]


@dataclass(frozen=True)
class Block:
    """One trusted set: means, the best method first, and pictures."""

    trusted: str
    means: tuple[Mean, ...]
    counts: tuple[float, ...]
    kept: Markup
    robust: Markup
    markers: tuple[Markup, ...]


def render_repairs(out: Path, title: str, description: str, cards: Sequence[RepairCard]) -> Path:
    """Write the leaderboard of a bench's cards and give the path of its page."""
    blocks = [
        _block(number, trusted, [each for each in cards if each.trusted == trusted])
        for number, trusted in enumerate(dict.fromkeys(each.trusted for each in cards))
    ]
    values = {"title": title, "description": description, "blocks": blocks, "cards": len(cards)}
    write_page(out / FILE, TEMPLATES, values, template="repairs.html.jinja")
    write_text(out / TABLE, markdown(title, blocks))
    write_text(out / ROWS, _rows(cards))
    return out / FILE


def means(cards: Sequence[RepairCard]) -> list[Mean]:
    """Means of one trusted set by method, the highest effectiveness first."""
    methods = dict.fromkeys(each.method for each in cards)
    found = [_mean(name, [each for each in cards if each.method == name]) for name in methods]
    return sorted(found, key=lambda each: -each.der)


def _mean(method: str, cards: Sequence[RepairCard]) -> Mean:
    done = [each for each in cards if each.status == "done"]
    checks = [each for each in cards if each.role == "check"]
    return Mean(
        method=method,
        cells=len(done),
        failed=len(cards) - len(done),
        der=_over(cards, _der),
        check=_over(checks, _der) if checks else None,
        worst=min(map(_der, cards)),
        accuracy=_over(done, lambda each: each.accuracy or 0.0),
        success=_over(done, lambda each: each.success or 0.0),
        robust=_over(done, lambda each: each.robust or 0.0),
        seconds=_over(done, lambda each: each.seconds),
        of_training=_over(done, lambda each: each.of_training),
        back=_back(done),
    )


def _der(card: RepairCard) -> float:
    return 0.5 if card.der is None else card.der


def _over(cards: Sequence[RepairCard], value: Callable[[RepairCard], float]) -> float:
    return sum(map(value, cards)) / len(cards) if cards else 0.0


def _back(cards: Sequence[RepairCard]) -> dict[float, float]:
    counts = sorted({count for each in cards for count, _ in each.relearning})
    curves = [dict(each.relearning) for each in cards]
    return {
        count: sum(curve[count] for curve in having) / len(having)
        for count in counts
        if (having := [curve for curve in curves if count in curve])
    }


def _block(number: int, trusted: str, cards: Sequence[RepairCard]) -> Block:
    ranked = means(cards)
    names = [each.method for each in ranked]
    done = [each for each in cards if each.status == "done"]

    def dots(value: Callable[[RepairCard], float | None]) -> list[Dot]:
        return [
            Dot(names.index(each.method), each.success or 0.0, value(each) or 0.0) for each in done
        ]

    return Block(
        trusted,
        tuple(ranked),
        tuple(sorted({count for each in ranked for count in each.back})),
        scatter(f"kept-{number}", "accuracy", names, dots(lambda each: each.accuracy)),
        scatter(f"robust-{number}", "robust accuracy", names, dots(lambda each: each.robust)),
        tuple(marker(index) for index in range(MOST_LINES)),
    )


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The means as tables."""
    lines = [f"# {title}", ""]
    for block in blocks:
        counts = block.counts[1:]
        head = ["method", "DER", "check", "worst", "accuracy", "attack success", "robust"]
        head += [f"after {count:.0f}" for count in counts] + ["seconds", "of a training"]
        lines += [f"## Trusted: {block.trusted}", "", "| " + " | ".join(head) + " |"]
        lines.append("| --- |" + " ---: |" * (len(head) - 1))
        for each in block.means:
            check = "-" if each.check is None else f"{each.check:.3f}"
            row = [f"{each.der:.3f}", check, f"{each.worst:.3f}"]
            row += [f"{each.accuracy:.3f}", f"{each.success:.3f}", f"{each.robust:.3f}"]
            row += [f"{each.back[k]:.2f}" if k in each.back else "-" for k in counts]
            row += [f"{each.seconds:.1f}", f"{each.of_training:.2f}"]
            lines.append(f"| {each.method} | " + " | ".join(row) + " |")
        lines.append("")
    return "\n".join(lines)


def _rows(cards: Sequence[RepairCard]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for each in cards:
        table.writerow([_cell(getattr(each, name)) for name in COLUMNS])
    return out.getvalue()


def _cell(value: object) -> object:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else value
