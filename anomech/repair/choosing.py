"""Choosing among methods by what a user has, and repairing by the chosen one with all of it.

Methods are compared on examples that none of them saw. Once one is chosen these are of more use in
the repair, so it is done again with them; what proves it has still not been seen.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.records import MethodResult
from anomech.repair import measures
from anomech.repair.plan import RepairPlan
from anomech.repair.subject import Subject
from anomech.repair.trying import CHOSEN, repeated, tried, weights


@dataclass(frozen=True)
class Choice:
    """The method that was chosen.

    Attributes:
        results: of all that were tried or left out, in the plan's order.
        best: the chosen one's.
        overlay: its tensors, from all examples that it may see.
    """

    results: list[MethodResult]
    best: MethodResult
    overlay: dict[str, Tensor]


def choose(plan: RepairPlan, subject: Subject, out: Path, progress: Progress) -> Choice:
    """Try the methods of a plan, choose one, and repair by it again with more examples.

    Args:
        plan: resolved.
        subject: the model and its examples in their roles.
        out: folder where each result is kept; one that is there already is not made again.
        progress: told about every stage.

    Raises:
        DataError: no method could be used.
    """
    results = _tried(plan, subject, out, progress)
    before = measures.accuracy(subject.task, subject.trusted.choose, {})
    best = _best(results, before.value - plan.proof.lost)
    again = repeated(plan, best, subject, out, progress)
    told = best.model_copy(
        update={"problems": tuple(dict.fromkeys((*best.problems, *again.problems)))}
    )
    results = [told if each is best else each for each in results]
    return Choice(results, told, weights(out, CHOSEN))


def _tried(plan: RepairPlan, subject: Subject, out: Path, progress: Progress) -> list[MethodResult]:
    """Results of the methods, as many as the time allows, and of one at least."""
    results: list[MethodResult] = []
    clock = time.monotonic()
    for number, name in enumerate(plan.methods):
        done = any(each.status == "done" for each in results)
        if plan.seconds and done and time.monotonic() - clock > plan.seconds:
            why = f"the time for trying ({plan.seconds:g} seconds) was over."
            results.append(MethodResult(name=name, status="left out", why=why))
            continue
        results.append(tried(plan, name, subject, out, progress))
        progress("trying repairs", number + 1, len(plan.methods))
    return results


def _best(results: list[MethodResult], floor: float) -> MethodResult:
    """The method of the highest merit, of those that keep the accuracy if any does.

    What costs more accuracy than the proof allows is no repair, however well it forgets. Of equal
    methods the first is taken.

    Args:
        results: of all methods.
        floor: accuracy that the proof asks for.

    Raises:
        DataError: none could be used.
    """
    done = [each for each in results if each.merit is not None]
    if not done:
        raise DataError(f"no repair could be used: {results[0].name}, because {results[0].why}")
    return max(done, key=lambda each: (_accurate(each, floor), each.merit or 0.0))


def _accurate(result: MethodResult, floor: float) -> bool:
    return result.accuracy is not None and result.accuracy.value >= floor - 1e-9
