"""The two kinds of work of a bench: train a network, judge a case. Any worker can do a piece."""

import shutil
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anomech.audit.pipeline import judge
from anomech.audit.plan import Plan, from_mapping
from anomech.audit.write.folder import noted, open_folder
from anomech.bench.cards import Audited, blank, calibratable, card_of
from anomech.bench.cells import Case, Cell
from anomech.bench.memory import peak_mib, reset_peak
from anomech.bench.places import CARD, CELL, Bench
from anomech.bench.specs import Suite
from anomech.bench.truth import with_truth
from anomech.bench.worlds.world import Staged
from anomech.kernel.errors import AnomechError, Inconclusive, RunError
from anomech.records import Verdict, iterate_rows, write_record, write_text
from anomech.records.scorecards import Scorecard

GALLERY = 20
"""Flagged inputs with pictures in a cell's report."""

NOTE = (
    "Planted inputs are those that the suite made anomalous; one whose trigger or perturbation did "
    "not work is no anomaly and counts in neither group."
)


def train_network(bench: Bench, cell: Cell) -> str:
    """Train the network of a cell; why it cannot be used, "" if it can.

    Raises:
        RunError: it cannot be written.
    """
    try:
        bench.world(cell).train(cell, bench.zoo, bench.progress)
    except RunError:
        raise
    except AnomechError as error:
        return str(error)
    except Exception as error:
        return f"training stopped with {type(error).__name__}: {_first_line(error)}"
    return ""


def judge_case(bench: Bench, case: Case) -> tuple[Scorecard, ...]:
    """Judge the cells of one case and write their cards; what goes wrong stands on them.

    All detectors take part in one audit, so that answers and traces are made once. What that audit
    leaves without an answer is judged alone: a detector that breaks takes no other with it.

    Raises:
        RunError: a folder cannot be written.
    """
    try:
        staged = bench.world(case[0]).stage(case[0], bench.zoo, bench.progress)
    except RunError:
        raise
    except Exception as error:  # the same for all of them
        return tuple(_kept(bench, cell, _failed(bench, cell, error)) for cell in case)
    together = _together(bench, case, staged) if len(case) > 1 else {}
    return tuple(
        _kept(bench, cell, together[cell.id])
        if cell.id in together
        else _alone(bench, cell, staged)
        for cell in case
    )


def refuse_cell(bench: Bench, cell: Cell, reason: str) -> Scorecard:
    """The card of a cell whose network cannot be used."""
    _make_ready(bench, cell)
    return _kept(bench, cell, blank(cell.suite, cell, "failed", reason))


def _together(bench: Bench, case: Case, staged: Staged) -> dict[str, Scorecard]:
    """Cards by cell of what one audit with all detectors answers."""
    folder = bench.shared(case)
    described = "\n".join(bench.described(cell) for cell in case)
    if not (folder / CELL).exists() or (folder / CELL).read_text(encoding="utf-8") != described:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        audited = _audited(bench, case, staged, folder, described)
    except RunError:
        raise
    except Exception:  # whose fault it is shows when each is judged alone
        shutil.rmtree(folder, ignore_errors=True)
        return {}
    found = {}
    for cell in case:
        if any(each.name == cell.detector for each in audited.run.detectors):
            shutil.rmtree(bench.folder(cell), ignore_errors=True)
            found[cell.id] = card_of(cell.suite, cell, audited, folder.name)
    return found


def _alone(bench: Bench, cell: Cell, staged: Staged) -> Scorecard:
    """The card of a cell by an audit of its own, in its own folder."""
    folder = bench.folder(cell)
    _make_ready(bench, cell)
    try:
        audited = _audited(bench, (cell,), staged, folder, bench.described(cell))
        card = card_of(cell.suite, cell, audited)
    except RunError:
        raise
    except Exception as error:  # a method may fail in any way, and the bench goes on
        card = _failed(bench, cell, error)
    return _kept(bench, cell, card)


def _failed(bench: Bench, cell: Cell, error: Exception) -> Scorecard:
    """The card of a cell that ended with an error; one that nobody foresaw is kept in a file."""
    if isinstance(error, Inconclusive):
        return blank(cell.suite, cell, "inconclusive", str(error))
    if isinstance(error, AnomechError):
        return blank(cell.suite, cell, "failed", str(error))
    text = "".join(traceback.format_exception(error))
    write_text(bench.folder(cell) / "error.txt", text)
    reason = f"it stopped with {type(error).__name__}: {_first_line(error)}"
    return blank(cell.suite, cell, "failed", reason)


def _kept(bench: Bench, cell: Cell, card: Scorecard) -> Scorecard:
    """The card, written beside what it is of."""
    write_text(bench.folder(cell) / CELL, bench.described(cell))
    write_record(bench.folder(cell) / CARD, card)
    return card


def _make_ready(bench: Bench, cell: Cell) -> None:
    """What an earlier run of the same cell left is used; what another one left goes."""
    folder = bench.folder(cell)
    if folder.exists() and not (bench.belongs(cell) and (folder / "plan.yaml").exists()):
        shutil.rmtree(folder)
    (folder / CARD).unlink(missing_ok=True)


def _audited(bench: Bench, case: Case, staged: Staged, folder: Path, described: str) -> Audited:
    """The audit of some cells in a folder, with the truth told to its records afterwards."""
    plan = plan_of(case[0].suite, case, staged.task)
    run = open_folder(plan, folder)
    write_text(folder / CELL, described)
    peak = None
    if run is None:
        counting = reset_peak()
        with noted(plan, folder):
            run = judge(plan, staged.loaded, folder, bench.progress)
        peak = peak_mib() if counting else None
    verdicts = iterate_rows(folder / "verdicts.jsonl", Verdict)
    rows = staged.truth(np.array([verdict.group for verdict in verdicts]))
    run = with_truth(run, folder, rows, NOTE)
    return Audited(folder, run, rows, staged.plain_seconds, peak)


def plan_of(suite: Suite, case: Case, task: Mapping[str, Any]) -> Plan:
    """The audit of a case, at the smallest budget that its trusted set is large enough for."""
    cell = case[0]
    calibration = round((cell.under.trusted or suite.trusted) * (1 - suite.anchor_share))
    possible = calibratable(suite.budgets, calibration) or [max(suite.budgets)]
    return from_mapping(
        {
            "budget": possible[0],
            "seed": cell.seed,
            "anchor_share": suite.anchor_share,
            "doubtful": cell.under.doubtful,
            "lead": cell.detector,
            "detectors": {each.detector: each.options for each in case},
            "gallery": GALLERY,
            "sensitivity": {"asked": "never"},
            "task": dict(task),
        }
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0]
