"""Running a suite of repairs: each cell once; what is done stays done."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from anomech.audit.write.place import locked
from anomech.bench.patterns import matching
from anomech.bench.piecewise import claim, kept, read_if_there
from anomech.bench.repairs.suite import (
    RepairCell,
    RepairSuite,
    as_yaml,
    cells,
    method_of,
    subject_of,
)
from anomech.bench.repairs.work import Scene, repaired, scene_of
from anomech.bench.worlds.images import datasets
from anomech.kernel import plugins
from anomech.kernel.config import resolved
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import Progress, silent
from anomech.records import RepairCard, write_record
from anomech.report.board.repairs import render_repairs
from anomech.storage.code import NUMBERLESS, code_digest, code_of


@dataclass(frozen=True)
class FinishedRepairs:
    """A bench of repairs when it is over.

    Attributes:
        cards: of all cells that were chosen, in their order.
        page: path of the leaderboard.
    """

    cards: list[RepairCard]
    page: Path


def run_repairs(
    suite: RepairSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None,
    patterns: Sequence[str] = (),
    progress: Progress = silent,
    told: Callable[[RepairCard], None] = lambda card: None,
) -> FinishedRepairs:
    """Run the cells of a suite that are not done yet, and write the leaderboard.

    Args:
        suite: resolved.
        out: folder of the bench.
        zoo: folder of trained networks.
        data: folder of data sets.
        patterns: globs over cell names; none are all.
        progress: told about every cell.
        told: called with each card that was made.

    Raises:
        ConfigError: a pattern matches no cell.
        RunError: the folder holds another suite.
    """
    everything = list(cells(suite))
    asked = set(matching([each.id for each in everything], patterns))
    wanted = [each for each in everything if each.id in asked]
    sets = datasets.load(suite.data, data).first(suite.train)
    with locked(out):
        claim(out, suite.name, as_yaml(suite))
        shared = code_digest("anomech.bench.repairs.work", apart_from=NUMBERLESS)
        cards: list[RepairCard] = []
        for _, group in groupby(wanted, lambda each: (each.subject, each.trusted, each.seed)):
            scene: Scene | None = None
            for cell in group:
                basis = _basis(suite, cell, sets, shared)
                card = kept(_path(out, cell), RepairCard, basis)
                if card is None or card.status == "failed":
                    scene = scene or _scene(suite, cell, sets, zoo, progress)
                    card = repaired(suite, cell, scene, silent)
                    card = card.model_copy(update={"basis": basis})
                    write_record(_path(out, cell), card)
                    told(card)
                cards.append(card)
                progress("repairing networks", len(cards), len(wanted))
        found = (read_if_there(_path(out, each), RepairCard) for each in everything)
        every = [card for card in found if card is not None]
        page = render_repairs(out, suite.title or suite.name, suite.description, every)
    return FinishedRepairs(cards, page)


def _scene(
    suite: RepairSuite, cell: RepairCell, sets: datasets.ImageSets, zoo: Path, progress: Progress
) -> Scene:
    try:
        return scene_of(suite, cell, sets, zoo, progress)
    except AnomechError as error:
        raise type(error)(f"{cell.subject}: {error}") from error


def _path(out: Path, cell: RepairCell) -> Path:
    name = hashlib.sha256(cell.id.encode()).hexdigest()[:12]
    return out / "cells" / f"{name}.json"


def _basis(suite: RepairSuite, cell: RepairCell, sets: datasets.ImageSets, shared: str) -> str:
    """Hash of all that a cell's card rests on."""
    method = method_of(cell.method, suite.methods[cell.method])
    tried = [plugins.get("mitigation", each)() for each in getattr(method, "methods", ())]
    facts = {
        "network": subject_of(suite, cell.subject, cell.seed).fingerprint(*sets.train),
        "trusted": resolved(suite.trusted[cell.trusted]),
        "method": suite.methods[cell.method],
        "flags": [suite.flagged, suite.false_flags, list(suite.poisons)],
        "code": [shared, code_of(method, *tried)],
        "cell": cell.id,
    }
    text = json.dumps(facts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
