"""The top record of a bench while its cells come in."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from anomech.audit.load.provenance import now
from anomech.bench.cells import Cell
from anomech.bench.machine import hardware, versions
from anomech.bench.places import Bench
from anomech.records import write_record
from anomech.records.scorecards import BenchRun, Scorecard

TOP = "bench.json"
"""Its name in the folder of the bench."""


@dataclass(frozen=True)
class Ledger:
    """The top record while cells come in: a bench that is killed has told how far it was.

    Attributes:
        out: folder of the bench.
        run: the record as this invocation began.
        clock: when that was.
        statuses: of the cells that have a card, by id.
    """

    out: Path
    run: BenchRun
    clock: float
    statuses: dict[str, str]

    def lacks(self, cell: Cell) -> bool:
        """Whether a cell has no answer yet; one that failed is tried again."""
        return self.statuses.get(cell.id, "failed") == "failed"

    def enter(self, card: Scorecard) -> None:
        """Count a card and write the record."""
        self.statuses[card.id] = card.status
        write_record(self.out / TOP, self.now())

    def now(self) -> BenchRun:
        """The record as it stands."""
        failed = sum(status == "failed" for status in self.statuses.values())
        return self.run.model_copy(
            update={
                "seconds": self.run.seconds + time.monotonic() - self.clock,
                "done": len(self.statuses) - failed,
                "failed": failed,
            }
        )


def open_ledger(
    bench: Bench, everything: Sequence[Cell], before: BenchRun | None, clock: float
) -> Ledger:
    """What is done already, by the cards that are there."""
    suite = bench.suite
    run = BenchRun(
        suite=suite.name,
        title=suite.title,
        description=suite.description,
        status="running",
        started=before.started if before else now(),
        seconds=before.seconds if before else 0.0,
        cells=len(everything),
        done=0,
        failed=0,
        versions=versions(),
        hardware=hardware(suite.device),
    )
    cards = ((cell.id, bench.card(cell)) for cell in everything)
    return Ledger(bench.out, run, clock, {name: card.status for name, card in cards if card})
