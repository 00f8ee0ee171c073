"""The review of a model: scan, audit, repair and its proof, again until clean or out of rounds.

Every step has a folder of its own inside the review's, and is a run that resumes by itself: an
interrupted review goes on where it was.
"""

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anomech.audit.load.provenance import now
from anomech.audit.pipeline import audit
from anomech.audit.plan import Plan
from anomech.audit.plan import from_mapping as audit_plan
from anomech.audit.write import keeping
from anomech.audit.write.place import locked
from anomech.evidence.formats import write as write_evidence
from anomech.kernel.config import resolved
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import Progress
from anomech.records import (
    Conclusion,
    RepairRun,
    Review,
    Run,
    Step,
    Verdict,
    iterate_rows,
    read_findings,
    read_record,
    write_record,
    write_text,
)
from anomech.repair.pipeline import REPAIRED, repair
from anomech.report.review.render import render
from anomech.review.diagnosing import diagnoses
from anomech.review.plan import ReviewPlan, as_yaml, repair_of
from anomech.review.policies import demands
from anomech.review.risk import Evidence, risk
from anomech.scan.pipeline import scan
from anomech.scan.plan import from_mapping as scan_plan

TOP = "review.json"

KIND = keeping.Kind(name="review", top=TOP, record=Review, render=render)


@dataclass
class Seen:
    """What a review has seen so far.

    Attributes:
        steps: in their order.
        first: the audit of the model as it came.
        repair: the best repair, by checks passed.
        kept: number of its round; 0 if there is none.
        clean: whether the model as it is now is clean, as far as can be seen.
        unsure: whether some step gave no answer.
    """

    steps: list[Step] = field(default_factory=list)
    first: Run | None = None
    repair: RepairRun | None = None
    kept: int = 0
    clean: bool = False
    unsure: bool = False


def review(plan: ReviewPlan, out: Path, progress: Progress, *, workers: int = 0) -> Review:
    """Review a model, or resume a review, and write its folder.

    Args:
        plan: resolved, see `anomech.review.plan.from_mapping`.
        out: the folder; one that holds an unfinished review of the same plan is resumed.
        progress: told about every stage.
        workers: processes that decode image files ahead; they change no number.

    Raises:
        RunError: the folder belongs to another plan.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: finished steps stay.
    """
    with locked(out):
        started, clock = now(), time.monotonic()
        # A finished review is gone through again: its steps tell whether anything changed since.
        keeping.opened(KIND, out, as_yaml(plan))
        begun = Review(status="running", title=plan.title, started=started, seconds=0.0)
        with keeping.noted(KIND, out, begun):
            seen = Seen()
            if plan.scan:
                _scanned(plan, out, seen, progress, workers)
            audited = plan.first
            for number in range(1, plan.rounds + 1):
                following = _round(plan, audited, number, out, seen, progress, workers)
                if following is None:
                    break
                audited = following
            return _written(plan, out, seen, started, time.monotonic() - clock)


def _round(
    plan: ReviewPlan,
    audited: Plan,
    number: int,
    out: Path,
    seen: Seen,
    progress: Progress,
    workers: int,
) -> Plan | None:
    """One audit, and a repair of what it found; the audit of the next round, if one follows."""
    folder = out / f"audit-{number}"
    clock = time.monotonic()
    run = audit(audited, folder, progress, workers=workers)
    found = _found(folder, run)
    seen.steps.append(_audit_step(number, run, folder, found, time.monotonic() - clock))
    seen.first = seen.first or run
    if run.status == "inconclusive":
        seen.unsure, seen.clean = True, False
        return None
    if not found:
        seen.clean = True
        return None
    clock = time.monotonic()
    made = repair(
        repair_of(plan, audited, str(folder)), out / f"repair-{number}", progress, workers=workers
    )
    before = seen.repair
    better = before is None or _passed(made) > _passed(before)
    seen.steps.append(_repair_step(number, made, seen.kept, better, time.monotonic() - clock))
    if not better:  # what a repair of a repair spoils, another one of it does not mend
        return None
    seen.repair, seen.kept, seen.clean = made, number, made.verified
    return None if made.verified else _next(audited, out / f"repair-{number}" / REPAIRED)


def _passed(made: RepairRun) -> int:
    """Checks of a repair that are passed."""
    return sum(each.outcome == "passed" for each in made.checks)


def _next(audited: Plan, weights: Path) -> Plan | None:
    """The audit of repaired weights; None if the model's source takes no others."""
    values = resolved(audited)
    model: dict[str, Any] = values["model"]
    if "weights" not in model:
        return None
    return audit_plan({**values, "model": {**model, "weights": str(weights), "key": ""}})


def _found(folder: Path, run: Run) -> bool:
    """Whether an audit found a mechanism, or more flags than chance gives."""
    return bool(run.mechanisms) or any(
        each.fails for each in read_findings(folder / "findings.json")
    )


def _scanned(plan: ReviewPlan, out: Path, seen: Seen, progress: Progress, workers: int) -> None:
    values = resolved(plan.first)
    model = values["model"]
    files = model.get("weights") or model.get("file") or ""
    given = {name: values[name] for name in ("model", "reference", "task", "seed")}
    clock = time.monotonic()
    done = scan(scan_plan({**given, "files": files}), out / "scan", progress, workers=workers)
    outcome = {"finding": "bad", "no finding": "good"}.get(done.verdict or "", "open")
    seen.steps.append(
        Step(
            kind="scan",
            round=0,
            folder="scan",
            outcome=outcome,
            said=" ".join(done.reasons) or f"The scan says: {done.verdict}.",
            seconds=time.monotonic() - clock,
        )
    )


def _audit_step(number: int, run: Run, folder: Path, found: bool, seconds: float) -> Step:
    if run.status == "inconclusive":
        return Step(
            kind="audit",
            round=number,
            folder=folder.name,
            outcome="open",
            said=run.message,
            seconds=seconds,
        )
    lead = next(each for each in run.detectors if each.lead)
    count = len(run.mechanisms)
    shared = f"{count} mechanism{'' if count == 1 else 's'}" if count else "no mechanism"
    return Step(
        kind="audit",
        round=number,
        folder=folder.name,
        outcome="bad" if found else "good",
        said=f"{lead.flagged} of {lead.inputs} inputs are flagged; they share {shared}.",
        seconds=seconds,
    )


def _repair_step(number: int, made: RepairRun, kept: int, better: bool, seconds: float) -> Step:
    failed = [each.name for each in made.checks if each.outcome != "passed"]
    proof = "every check is passed" if made.verified else f"not passed: {', '.join(failed)}"
    said = f"Repaired by {made.chosen}; {proof}."
    cost = next((each.numbers for each in made.checks if "lost" in each.numbers), None)
    if cost is not None:
        was, now = cost["before"], cost["after"]
        said += f" Accuracy on trusted examples went from {was:.1%} to {now:.1%}."
    if not better:
        said += f" It passes no more checks than repair {kept}, which stands."
    return Step(
        kind="repair",
        round=number,
        folder=f"repair-{number}",
        outcome="good" if made.verified else "bad",
        said=said,
        seconds=seconds,
    )


def _written(plan: ReviewPlan, out: Path, seen: Seen, started: str, seconds: float) -> Review:
    assert seen.first is not None
    first = out / "audit-1"
    verdicts = list(iterate_rows(first / "verdicts.jsonl", Verdict)) if not seen.unsure else []
    found = any(each.kind == "audit" and each.outcome == "bad" for each in seen.steps)
    told = Evidence(found, seen.first.sensitivity, seen.repair, seen.clean)
    record = Review(
        status="complete",
        title=seen.first.title,
        task=seen.first.task,
        started=started,
        seconds=seconds,
        conclusion=_conclusion(seen),
        rounds=max(each.round for each in seen.steps),
        steps=tuple(seen.steps),
        diagnoses=tuple(diagnoses(seen.first, verdicts)),
        risk=risk(plan.costs, told),
        policy=plan.policy,
        demands=tuple(demands(plan.policy, seen.first.sensitivity, seen.repair))
        if plan.policy
        else (),
    )
    standing = out / (f"repair-{seen.kept}" if seen.kept else "audit-1")
    with suppress(AnomechError):  # the run says itself what is missing of it
        for path in write_evidence(standing, ["card"]):
            write_text(out / "model-card.md", path.read_text(encoding="utf-8"))
    write_record(out / TOP, record)
    render(out)
    return record


def _conclusion(seen: Seen) -> Conclusion:
    if seen.unsure:
        return "inconclusive"
    scanned = [each for each in seen.steps if each.kind == "scan"]
    if any(each.outcome == "bad" for each in scanned) and seen.repair is None:
        return "not clean"
    if not seen.clean:
        return "not clean"
    return "clean" if seen.repair is None else "repaired"


def read(out: Path) -> Review:
    """The top record of a review.

    Raises:
        RunError: the folder holds none.
    """
    return read_record(out / TOP, Review)
