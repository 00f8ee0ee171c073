"""The two kinds of work of a bench: train a network, judge a cell. Any worker can do a piece."""

import shutil
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from anomech.audit.load.loading import Loaded
from anomech.audit.pipeline import judge
from anomech.audit.plan import Plan, from_mapping
from anomech.audit.write.folder import noted, open_folder
from anomech.bench.cells import Cell
from anomech.bench.grading import grade, ranking, rates
from anomech.bench.memory import peak_mib, reset_peak
from anomech.bench.perturber import Perturber
from anomech.bench.scene import Material, scene
from anomech.bench.suite import Suite, perturbations
from anomech.bench.truth import with_truth
from anomech.bench.zoo import fetch, obtain
from anomech.calibration.conformal import needed
from anomech.kernel import plugins
from anomech.kernel.code import code_of
from anomech.kernel.config import build, resolved
from anomech.kernel.errors import AnomechError, Inconclusive, RunError
from anomech.kernel.types import Progress, silent
from anomech.observing.observed import observe
from anomech.records import Run, Verdict, iterate_rows, read_record, write_record, write_text
from anomech.records.scorecards import Cost, Scorecard, TruthRow
from anomech.tasks.image_classifier import ImageClassifier

CARD = "card.json"
CELL = "cell.yaml"
GALLERY = 20
"""Flagged inputs with pictures in a cell's report."""

NOTE = (
    "Planted inputs are those that the suite made anomalous; one whose trigger or perturbation did "
    "not work is no anomaly and counts in neither group."
)


@dataclass(frozen=True, eq=False)
class Bench:
    """What all pieces of work share.

    Attributes:
        material: suite and data.
        out: folder of the bench.
        zoo: folder of trained networks.
        content: hash of the data, the versions and the bench's own code.
        progress: told about every stage, where the work is done in the caller's process.
    """

    material: Material
    out: Path
    zoo: Path
    content: str
    progress: Progress = silent

    @property
    def suite(self) -> Suite:
        """That is run."""
        return self.material.suite

    def folder(self, cell: Cell) -> Path:
        """Where a cell's files are."""
        return self.out / "cells" / cell.id

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
        suite = self.suite
        planted = cell.network.attack_objects()
        attacks = zip(cell.network.attacks, planted, strict=True)
        detector = build(plugins.get("detector", cell.detector), cell.options, cell.detector)
        described: dict[str, Any] = {
            "subject": cell.subject,
            "attacks": {name: resolved(attack) for (name, _), attack in attacks},
            "role": cell.role,
            "least_success": cell.spec.least_success,
            "network": cell.network.label,
            "recipe": resolved(cell.network.recipe),
            "condition": {"name": cell.condition, **resolved(cell.under)},
            "detector": {cell.detector: cell.options},
            "seed": cell.seed,
        }
        shared = ("data", "trusted", "clean", "sources", "anchor_share", "budgets")
        described |= {name: resolved(suite)[name] for name in (*shared, "device", "precision")}
        described["content"] = self.content
        moved = perturbations(cell.under)
        described["code"] = code_of(detector, cell.network.network, *planted, *moved)
        return yaml.safe_dump(described, sort_keys=False, allow_unicode=True)


def train_network(bench: Bench, cell: Cell) -> str:
    """Train the network of a cell; why it cannot be used, "" if it can.

    Raises:
        RunError: it cannot be written.
    """
    sets, suite = bench.material.sets, bench.suite
    try:
        obtain(
            cell.network,
            sets.train,
            sets.test,
            bench.zoo,
            bench.progress,
            least_success=cell.spec.least_success,
            device=suite.device,
        )
    except RunError:
        raise
    except AnomechError as error:
        return str(error)
    except Exception as error:
        return f"training stopped with {type(error).__name__}: {_first_line(error)}"
    return ""


def judge_cell(bench: Bench, cell: Cell) -> Scorecard:
    """Audit a cell and write its folder; what goes wrong in it stands on its card.

    Raises:
        RunError: the folder cannot be written.
    """
    folder = bench.folder(cell)
    try:
        card = _judged(bench, cell)
    except RunError:
        raise
    except AnomechError as error:
        inconclusive = isinstance(error, Inconclusive)
        card = _blank(bench, cell, "inconclusive" if inconclusive else "failed", str(error))
    except Exception as error:  # a method may fail in any way, and the bench goes on
        reason = f"it stopped with {type(error).__name__}: {_first_line(error)}"
        card = _blank(bench, cell, "failed", reason)
        write_text(folder / "error.txt", traceback.format_exc())
    write_record(folder / CARD, card)
    return card


def refuse_cell(bench: Bench, cell: Cell, reason: str) -> Scorecard:
    """The card of a cell whose network cannot be used."""
    _open(bench, cell)
    card = _blank(bench, cell, "failed", reason)
    write_record(bench.folder(cell) / CARD, card)
    return card


def _open(bench: Bench, cell: Cell) -> tuple[Plan, Run | None]:
    """Make the folder ready: the cell's plan, and its run if that is finished already.

    What an earlier run of the same cell left is used; what another one left goes.
    """
    folder = bench.folder(cell)
    if folder.exists() and not bench.belongs(cell):
        shutil.rmtree(folder)
    (folder / CARD).unlink(missing_ok=True)
    plan = plan_of(bench.suite, cell)
    run = open_folder(plan, folder)
    write_text(folder / CELL, bench.described(cell))
    return plan, run


def plan_of(suite: Suite, cell: Cell) -> Plan:
    """The audit of a cell, at the smallest budget that its trusted set is large enough for."""
    calibration = round((cell.under.trusted or suite.trusted) * (1 - suite.anchor_share))
    possible = calibratable(suite.budgets, calibration) or [max(suite.budgets)]
    return from_mapping(
        {
            "budget": possible[0],
            "seed": cell.seed,
            "anchor_share": suite.anchor_share,
            "lead": cell.detector,
            "detectors": {cell.detector: cell.options},
            "gallery": GALLERY,
            "task": {"device": suite.device, "precision": suite.precision},
        }
    )


def calibratable(budgets: Sequence[float], calibration: int) -> list[float]:
    """Budgets, ascending, that so many calibration examples are enough for."""
    return sorted(budget for budget in budgets if needed(budget) <= calibration)


def _judged(bench: Bench, cell: Cell) -> Scorecard:
    suite, sets, folder = bench.suite, bench.material.sets, bench.folder(cell)
    plan, run = _open(bench, cell)
    model, triggers = fetch(
        cell.network, sets.train, bench.zoo, bench.progress, device=suite.device
    )
    address = cell.network.fingerprint(*sets.train)
    perturber = Perturber(model, address, cell.seed, bench.zoo / "perturbed", bench.progress)
    staged = scene(bench.material, cell, triggers, perturber)
    task = ImageClassifier(model, device=suite.device, precision=suite.precision)
    title = f"{cell.case}: {suite.data}, {cell.network.label}, seed {cell.seed}"
    loaded = Loaded(task, staged.trusted, staged.inputs, title)
    peak = None
    if run is None:
        counting = reset_peak()
        with noted(plan, folder):
            run = judge(plan, loaded, folder, bench.progress)
        peak = peak_mib() if counting else None
    if run.status == "inconclusive":
        return _blank(bench, cell, "inconclusive", run.message)
    verdicts = iterate_rows(folder / "verdicts.jsonl", Verdict)
    rows = staged.truth(np.array([verdict.group for verdict in verdicts]))
    run = with_truth(run, folder, rows, NOTE)
    clock = time.monotonic()
    observe(task, loaded.inputs)
    return _graded(bench, cell, run, rows, time.monotonic() - clock, peak)


def _graded(
    bench: Bench,
    cell: Cell,
    run: Run,
    rows: Sequence[TruthRow],
    plain_seconds: float,
    peak: float | None,
) -> Scorecard:
    """The card of a cell that was judged."""
    suite, graded = bench.suite, grade(bench.folder(cell), cell.detector)
    planted = bool(cell.network.attacks) and cell.under.triggered
    assert run.trusted is not None
    calibrated = calibratable(suite.budgets, run.trusted.calibration)
    made = [row for row in rows if row.anomalous is not False]
    changed = bool(made) and not cell.under.foreign
    (summary,) = run.detectors
    # A tracer answers inputs itself, and its time is counted; for other methods the pipeline did.
    answering = 0.0 if "tracer" in cell.options else plain_seconds
    return _blank(bench, cell, "done").model_copy(
        update={
            "accuracy": float(graded.right[graded.normal].mean()),
            "success": _share(row.anomalous is True for row in made) if changed else None,
            "robust": _share(row.right for row in made) if changed else None,
            "normal": int(graded.normal.sum()),
            "anomalous": int(graded.anomalous.sum()),
            "auroc": ranking(graded, cell.seed),
            "rates": tuple(rates(graded, suite.budgets, calibrated, planted=planted)),
            "cost": Cost(
                passes=1 + summary.evaluations,
                fit_seconds=summary.fit_seconds,
                score_seconds=summary.score_seconds + answering,
                plain_seconds=plain_seconds,
                peak_mib=peak,
            ),
        }
    )


def _share(values: Iterable[bool]) -> float:
    return float(np.mean(list(values)))


def _blank(bench: Bench, cell: Cell, status: Any, reason: str = "") -> Scorecard:
    """A card without results."""
    return Scorecard(
        id=cell.id,
        suite=bench.suite.name,
        data=Path(bench.suite.data).stem,
        network=cell.network.label,
        subject=cell.subject,
        condition=cell.condition,
        group=cell.under.group,
        axis=cell.under.axis or cell.spec.axis,
        value=cell.spec.value if cell.under.value is None else cell.under.value,
        role=cell.role,
        seed=cell.seed,
        detector=cell.detector,
        status=status,
        reason=reason,
        trusted=cell.under.trusted or bench.suite.trusted,
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
