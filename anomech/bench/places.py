"""What all work of a bench shares: its suite and data, and where everything is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from anomech.bench.cells import Case, Cell
from anomech.bench.specs import Suite
from anomech.bench.worlds.known import kind_of
from anomech.bench.worlds.world import World
from anomech.kernel import plugins
from anomech.kernel.config import build, resolved
from anomech.kernel.types import Progress, silent
from anomech.kernel.yaml_text import write_yaml
from anomech.records import read_record
from anomech.records.scorecards import Scorecard
from anomech.storage.code import code_of

CARD = "card.json"
CELL = "cell.yaml"


@dataclass(frozen=True, eq=False)
class Bench:
    """What all pieces of work share.

    Attributes:
        suite: that is run.
        worlds: of each of its parts, by the part's name.
        out: folder of the bench.
        zoo: folder of trained networks.
        progress: told about every stage, where the work is done in the caller's process.
    """

    suite: Suite
    worlds: Mapping[str, World]
    out: Path
    zoo: Path
    progress: Progress = silent

    def world(self, cell: Cell) -> World:
        """What a cell is made from."""
        return self.worlds[cell.part]

    def folder(self, cell: Cell) -> Path:
        """Where a cell's card is."""
        return self.out / "cells" / cell.id

    def shared(self, case: Case) -> Path:
        """Where the audit of all cells of a case is; other detectors have another."""
        named = json.dumps([[cell.detector, cell.options] for cell in case])
        code = blake2b(named.encode(), digest_size=4).hexdigest()
        return self.out / "cells" / case[0].place / f"audit-{code}"

    def audit(self, card: Scorecard) -> Path:
        """Where the audit is that a card rests on."""
        folder = self.out / "cells" / card.id
        return folder.parent / card.audit if card.audit else folder

    def card(self, cell: Cell) -> Scorecard | None:
        """The card of a cell that has been run as the suite has it now; None if it has not."""
        folder = self.folder(cell)
        if not (folder / CARD).exists() or not self.belongs(cell):
            return None
        return read_record(folder / CARD, Scorecard)

    def belongs(self, cell: Cell) -> bool:
        """Whether what is in the cell's folder comes from the very same cell."""
        path = self.folder(cell) / CELL
        return path.exists() and path.read_text(encoding="utf-8") == self.described(cell)

    def described(self, cell: Cell) -> str:
        """All that determines a cell's numbers, as YAML."""
        suite = cell.suite
        detector = build(plugins.get("detector", cell.detector), cell.options, cell.detector)
        described: dict[str, Any] = {
            "subject": cell.subject,
            "role": cell.role,
            "least_success": cell.spec.least_success,
            **cell.network.described(),
            "condition": {"name": cell.condition, **resolved(cell.under)},
            "detector": {cell.detector: cell.options},
            "seed": cell.seed,
        }
        shared = ("data", "train", "trusted", "clean", "sources", "anchor_share", "budgets")
        described |= {name: resolved(suite)[name] for name in (*shared, "device", "precision")}
        described["content"] = self.world(cell).content
        moved = kind_of(suite).moved(cell.under)
        described["code"] = code_of(detector, *cell.network.methods, *moved)
        return write_yaml(described)
