"""Running a suite of repairs: each cell once; what is done stays done."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby
from pathlib import Path

from anomech.audit.write.place import locked
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
from anomech.kernel.errors import AnomechError, ConfigError
from anomech.kernel.types import Progress, silent
from anomech.records import RepairCard, read_record, write_record, write_text
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
        ConfigError: no cell has such a name.
    """
    wanted = [each for each in cells(suite) if _chosen(each, patterns)]
    if not wanted:
        raise ConfigError("no cell of the suite has such a name; see `anomech bench --list`.")
    with locked(out):
        write_text(out / "suite.yaml", as_yaml(suite))
        sets = datasets.load(suite.data, data)
        if suite.train:
            images, labels = sets.train
            sets = sets._replace(train=(images[: suite.train], labels[: suite.train]))
        shared = code_digest("anomech.bench.repairs.work", apart_from=NUMBERLESS)
        cards: list[RepairCard] = []
        for _, group in groupby(wanted, lambda each: (each.subject, each.trusted, each.seed)):
            scene: Scene | None = None
            for cell in group:
                basis = _basis(suite, cell, sets, shared)
                card = _kept(out, cell, basis)
                if card is None:
                    scene = scene or _scene(suite, cell, sets, zoo, progress)
                    card = repaired(suite, cell, scene, silent)
                    card = card.model_copy(update={"basis": basis})
                    write_record(_path(out, cell), card)
                    told(card)
                cards.append(card)
                progress("repairing networks", len(cards), len(wanted))
        every = [kept for each in cells(suite) if (kept := _any(out, each)) is not None]
        page = render_repairs(out, suite.title or suite.name, suite.description, every)
    return FinishedRepairs(cards, page)


def _scene(
    suite: RepairSuite, cell: RepairCell, sets: datasets.ImageSets, zoo: Path, progress: Progress
) -> Scene:
    try:
        return scene_of(suite, cell, sets, zoo, progress)
    except AnomechError as error:
        raise type(error)(f"{cell.subject}: {error}") from error


def _chosen(cell: RepairCell, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(cell.id, pattern) for pattern in patterns)


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


def _any(out: Path, cell: RepairCell) -> RepairCard | None:
    try:
        return read_record(_path(out, cell), RepairCard)
    except AnomechError:
        return None


def _kept(out: Path, cell: RepairCell, basis: str) -> RepairCard | None:
    card = _any(out, cell)
    return card if card is not None and card.basis == basis else None
