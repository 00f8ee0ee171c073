"""The repair of a model: try methods, choose by what a user has, prove, write.

Each method's weights and each check are on disk before the next begins, so an interrupted repair
resumes behind them.
"""

import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save as packed
from torch import Tensor

from anomech.audit.load.fingerprints import combined, device_of, numbers
from anomech.audit.load.provenance import check_same, now
from anomech.audit.write.place import locked
from anomech.kernel.types import Progress
from anomech.learning.localizing import ablation_effects, concentration
from anomech.records import (
    Check,
    Finding,
    Provenance,
    RepairRun,
    Share,
    digests,
    write_bytes,
    write_findings,
    write_record,
)
from anomech.repair import measures
from anomech.repair.choosing import Choice, choose
from anomech.repair.folder import TOP, noted, open_folder
from anomech.repair.plan import RepairPlan, check_named
from anomech.repair.proof.accuracy import grade
from anomech.repair.proof.context import Context
from anomech.repair.proving import proved, verified
from anomech.repair.subject import Subject, open_subject
from anomech.report.repair.render import render
from anomech.roles.task import Prunable, able

REPAIRED = "repaired.safetensors"


def repair(plan: RepairPlan, out: Path, progress: Progress, *, workers: int = 0) -> RepairRun:
    """Repair a model, or resume a repair, and write its folder.

    Args:
        plan: resolved, see `anomech.repair.plan.from_mapping`.
        out: the folder; one that holds an unfinished repair of the same plan is resumed.
        progress: told about every stage.
        workers: processes that decode image files ahead; they change no number.

    Raises:
        RunError: the folder belongs to another plan.
        DataError: no method could be used.
        AnomechError: bad input; the folder then holds the reason.
        KeyboardInterrupt: finished methods and checks stay.
    """
    check_named(plan)
    with locked(out):
        finished = open_folder(plan, out)
        if finished is not None:
            subject = open_subject(plan, progress, workers)
            check_same(out, "repair", _provenance(plan, subject), finished.provenance)
            return finished
        with noted(plan, out):
            started, clock = now(), time.monotonic()
            subject = open_subject(plan, progress, workers)
            choice = choose(plan, subject, out, progress)
            checks = proved(Context(subject, choice.overlay, plan, progress), out)
            _write_weights(subject, choice.overlay, out)
            seconds = time.monotonic() - clock
            return _written(plan, subject, choice, checks, out, started, seconds)


def _write_weights(subject: Subject, overlay: dict[str, Tensor], out: Path) -> None:
    """All weights of the repaired model, in the model's own types and order."""
    state = subject.task.with_(overlay).state()
    tensors = {name: each.detach().cpu().contiguous().clone() for name, each in state.items()}
    write_bytes(out / REPAIRED, packed(tensors))


def _written(
    plan: RepairPlan,
    subject: Subject,
    choice: Choice,
    checks: list[Check],
    out: Path,
    started: str,
    seconds: float,
) -> RepairRun:
    """Write the findings, the top record and the page."""
    write_findings(out / "findings.json", findings(checks))
    units = located(subject)
    words = Context(subject, {}, plan, lambda stage, done, total: None).target_words
    run = RepairRun(
        status="complete",
        title=subject.title,
        task=subject.task.kind,
        started=started,
        seconds=seconds,
        verified=verified(checks),
        chosen=choice.best.name,
        target=words,
        before=_before(subject),
        methods=tuple(choice.results),
        checks=tuple(checks),
        grade=grade(next(each.numbers["lost"] for each in checks if each.name == "accuracy")),
        counts=_counts(subject),
        units={place: tuple(each.tolist()) for place, each in units.items()},
        concentration=concentration(units) if units else None,
        provenance=_provenance(plan, subject),
        files=digests(out),
    )
    write_record(out / TOP, run)
    render(out)
    return run


def located(subject: Subject) -> dict[str, Tensor]:
    """Effect of each unit on flagged answers less that on trusted ones; empty if none are known."""
    if subject.flagged is None or Prunable not in subject.task.provides:
        return {}
    task, flagged, trusted = subject.task, subject.flagged.repair, subject.trusted.repair
    shown = trusted.examples.load(np.arange(min(4, len(trusted))))
    units = able(task, Prunable).units(shown)
    ours, theirs = (
        ablation_effects(task, each.examples, each.answers, units) for each in (flagged, trusted)
    )
    return {place: each - theirs[place].clamp_min(0) for place, each in ours.items()}


def findings(checks: list[Check]) -> list[Finding]:
    """What a person should know: every check that failed, and those that were not done."""
    listed = []
    for each in checks:
        if each.outcome == "passed":
            continue
        failed = each.outcome == "failed"
        listed.append(
            Finding(
                code=f"repair-{each.name.replace(' ', '-')}",
                severity="high" if failed else "medium",
                title=f"{each.title} {'No' if _wants_yes(each) else 'Yes'}."
                if failed and each.name != "relearning"
                else each.title,
                detail=each.said,
                action="Do not rely on the repaired model; try another method (--method), give "
                "more trusted examples, or train anew without the poisoned ones."
                if failed
                else "The repair is not verified without it; see what it needs.",
            )
        )
    return listed


def _wants_yes(check: Check) -> bool:
    """Whether "yes" would have been the good answer to a check's question."""
    return check.name in ("accuracy", "answers")


def _before(subject: Subject) -> dict[str, Share]:
    found = {"accuracy": measures.accuracy(subject.task, subject.trusted.choose, {})}
    if subject.flagged is not None:
        found["flagged"] = measures.left(subject.task, subject.flagged.choose, {})
    return found


def _counts(subject: Subject) -> dict[str, int]:
    sets = {"trusted": subject.trusted, "flagged": subject.flagged}
    return {
        f"{kind} to {use}": len(getattr(parts, use))
        for kind, parts in sets.items()
        if parts is not None
        for use in ("repair", "choose", "prove")
    }


def _provenance(plan: RepairPlan, subject: Subject) -> Provenance:
    return Provenance(
        anomech=version("anomech"),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(device_of(subject.task)),
        threads=torch.get_num_threads(),
        seed=plan.seed,
        model=subject.model,
        parameters=numbers(subject.task),
        watched=sum(each.numel() for each in subject.task.watched.values()),
        reference=subject.reference,
        inputs="" if subject.audit is None else combined(subject.audit.ids),
    )
