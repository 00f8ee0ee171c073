"""The card of a cell: what its audit came to, held against the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from anomech.bench.cells import Cell
from anomech.bench.grading import control_rates, grade, ranking, rates
from anomech.bench.specs import Suite
from anomech.calibration.conformal import needed
from anomech.records import Run
from anomech.records.scorecards import Cost, Scorecard, TruthRow


@dataclass(frozen=True)
class Audited:
    """An audit of some cells of one case.

    Attributes:
        folder: where it is.
        run: its top record; all cells' detectors that could be fitted are in it.
        rows: the truth of its inputs.
        plain_seconds: one inference pass over them.
        peak: largest resident memory meanwhile, MiB, if the system says.
    """

    folder: Path
    run: Run
    rows: Sequence[TruthRow]
    plain_seconds: float
    peak: float | None


def card_of(suite: Suite, cell: Cell, audited: Audited, shared: str = "") -> Scorecard:
    """The card of a cell whose detector took part in an audit.

    Args:
        suite: of the cell.
        cell: one of those audited.
        audited: the audit.
        shared: name of the audit's folder beside the cell's, if it is not the cell's own.
    """
    run, rows = audited.run, audited.rows
    summary = next(each for each in run.detectors if each.name == cell.detector)
    if summary.problems:
        return blank(suite, cell, "inconclusive", summary.problems[0])
    assert run.trusted is not None
    graded = grade(audited.folder, cell.detector)
    planted = bool(cell.network.attacks) and cell.under.triggered
    calibrated = calibratable(suite.budgets, summary.calibration)
    made = [row for row in rows if row.anomalous is not False and not row.control]
    changed = bool(made) and not cell.under.foreign
    # Who looks at traces has paid for the answers with them; for the others the pipeline did.
    answering = 0.0 if summary.answers else audited.plain_seconds
    return blank(suite, cell, "done").model_copy(
        update={
            "audit": shared,
            "accuracy": float(graded.right[graded.normal].mean()),
            "success": _share(row.anomalous is True for row in made) if changed else None,
            "robust": _share(row.right for row in made) if changed else None,
            "normal": int(graded.normal.sum()),
            "anomalous": int(graded.anomalous.sum()),
            "auroc": ranking(graded, cell.seed),
            "rates": tuple(rates(graded, suite.budgets, calibrated, planted=planted)),
            "controls": tuple(control_rates(graded, calibrated)),
            "cost": Cost(
                passes=1 + summary.evaluations,
                fit_seconds=summary.fit_seconds,
                score_seconds=summary.score_seconds + answering,
                tracing_seconds=summary.tracing_seconds,
                plain_seconds=audited.plain_seconds,
                peak_mib=audited.peak,
            ),
        }
    )


def blank(
    suite: Suite,
    cell: Cell,
    status: Literal["done", "inconclusive", "failed"],
    reason: str = "",
) -> Scorecard:
    """A card without results."""
    return Scorecard(
        id=cell.id,
        suite=suite.name,
        data=Path(suite.data).stem,
        network=cell.network.label,
        part=cell.part,
        kind=cell.kind,
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
        trusted=cell.under.trusted or suite.trusted,
    )


def calibratable(budgets: Sequence[float], calibration: int) -> list[float]:
    """Budgets, ascending, that so many calibration examples are enough for."""
    return sorted(budget for budget in budgets if needed(budget) <= calibration)


def _share(values: Iterable[bool]) -> float:
    return float(np.mean(list(values)))
