"""Trying one method: its weights and what it costs are on disk before the next one begins."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as packed
from torch import Tensor

from anomech.audit.load.fingerprints import combined
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import Progress
from anomech.records import MethodResult, read_record, write_bytes, write_record
from anomech.repair import measures
from anomech.repair.plan import RepairPlan, method
from anomech.repair.reteaching import Poison, back
from anomech.repair.subject import Subject
from anomech.roles.task import missing
from anomech.storage.code import code_of

FOLDER, CHOSEN = "methods", "chosen"

AGAIN = "Made again with more examples it was worse, so it stays as it was tried:"
"""Begins what is said of a repair whose repetition is not used."""


class Attempt(NamedTuple):
    """A method as it is tried.

    Attributes:
        name: of the attempt, and of its files.
        method: name of the mitigation.
        options: of it.
    """

    name: str
    method: str
    options: Mapping[str, Any]


def tried(
    plan: RepairPlan, attempt: Attempt, subject: Subject, out: Path, progress: Progress
) -> MethodResult:
    """One attempt's result: the kept one, if it still holds, or a new one.

    Args:
        plan: resolved.
        attempt: the method with its options.
        subject: the model with what it is repaired by.
        out: folder of the repair, where results are kept.
        progress: told about every step.
    """
    name, basis = attempt.name, _basis(plan, attempt, subject)
    repair = method(attempt.method, attempt.options)
    if (kept := _kept(out, name, basis)) is not None:
        return kept
    clock = time.monotonic()
    if lacking := missing(repair.needs, subject.task):
        why = f"this {subject.task.kind} does not give {', '.join(lacking)}."
        return _saved(out, MethodResult(name=name, status="left out", why=why), basis, clock)
    suspects = None if subject.flagged is None else subject.flagged.repair
    try:
        found = repair.mitigate(
            subject.task, subject.trusted.repair, suspects, seed=plan.seed, progress=progress
        )
        overlay = dict(found.overlay)
        numbers = measured(subject, overlay, plan)
    except AnomechError as error:
        return _saved(out, MethodResult(name=name, status="left out", why=str(error)), basis, clock)
    write_bytes(out / FOLDER / f"{name}.safetensors", packed(_written(overlay)))
    result = MethodResult(
        name=name,
        status="done",
        **numbers,
        problems=tuple(found.health.problems),
        facts={key: value for key, value in (found.health.facts or {}).items() if _finite(value)},
        settled=dict(found.settled),
        harder=dict(found.harder),
        evaluations=found.evaluations,
    )
    return _saved(out, result, basis, clock)


def repeated(
    plan: RepairPlan,
    attempt: Attempt,
    best: MethodResult,
    subject: Subject,
    out: Path,
    progress: Progress,
) -> MethodResult:
    """A method that has also seen what it was chosen on, as it was settled; kept, as `tried` keeps.

    If it then costs what it did not cost before, or fails, the weights stay those that were tried,
    and its problems say so. `weights(out, CHOSEN)` are its tensors.
    """
    basis = combined((_basis(plan, attempt, subject), "with all"))
    if (kept := _kept(out, CHOSEN, basis)) is not None:
        return kept
    clock = time.monotonic()
    suspects = None if subject.flagged is None else subject.flagged.seen
    try:
        again = method(attempt.method, {**attempt.options, **best.settled})
        found = again.mitigate(
            subject.task, subject.trusted.seen, suspects, seed=plan.seed, progress=progress
        )
        problems, passes = tuple(found.health.problems), found.evaluations
    except AnomechError as error:
        found, problems, passes = None, (str(error),), 0.0
    if found is None or (problems and not best.problems):
        overlay = weights(out, best.name)
        problems = (f"{AGAIN} {problems[0]}", *problems[1:])
    else:
        overlay = dict(found.overlay)
    write_bytes(out / FOLDER / f"{CHOSEN}.safetensors", packed(_written(overlay)))
    result = MethodResult(name=CHOSEN, status="done", problems=problems, evaluations=passes)
    return _saved(out, result, basis, clock)


def _basis(plan: RepairPlan, attempt: Attempt, subject: Subject) -> str:
    """Hash of all that an attempt's result rests on."""
    options = f"{sorted(attempt.options.items())} {plan.seed} {plan.choosing} {plan.proving}"
    return combined((code_of(method(attempt.method, attempt.options)), options, subject.basis))


def measured(subject: Subject, overlay: dict[str, Tensor], plan: RepairPlan) -> dict[str, Any]:
    """What a method is chosen by, on examples that it has not seen."""
    task, chooses = subject.task, subject.trusted.choose
    before, after = (measures.accuracy(task, chooses, each) for each in ({}, overlay))
    still, again = None, None
    if (flagged := subject.flagged) is not None:
        still = measures.left(task, flagged.choose, overlay)
        taught, tested = flagged.repair, flagged.choose
        poison = Poison(taught.examples, taught.answers, tested.examples, tested.groups)
        twin, few = task.with_(overlay), min(plan.proof.few, len(taught))
        again = back(twin, subject.trusted.repair, poison, few, seed=plan.seed)
    return {
        "accuracy": after,
        "flagged": still,
        "back": again,
        "merit": measures.merit(before, after, still, again),
    }


def weights(out: Path, name: str) -> dict[str, Tensor]:
    """The tensors that a method changed."""
    with safe_open(out / FOLDER / f"{name}.safetensors", "pt") as file:
        return {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118


def _written(overlay: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.detach().cpu().contiguous().clone() for name, each in overlay.items()}


def _finite(value: float) -> bool:
    return bool(np.isfinite(value))


def _kept(out: Path, name: str, basis: str) -> MethodResult | None:
    try:
        kept = read_record(out / FOLDER / f"{name}.json", MethodResult)
        if kept.basis != basis:
            return None
        if kept.status == "done":
            weights(out, name)
    except (AnomechError, OSError, SafetensorError):
        return None
    return kept


def _saved(out: Path, result: MethodResult, basis: str, clock: float) -> MethodResult:
    done = result.model_copy(update={"basis": basis, "seconds": time.monotonic() - clock})
    write_record(out / FOLDER / f"{result.name}.json", done)
    return done
