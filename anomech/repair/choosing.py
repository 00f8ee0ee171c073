"""Choosing among methods by what a user has, and repairing by the chosen one with all of it.

Methods are compared on examples that none of them saw. One that went gently for the sake of
accuracy, and whose flagged answers come back from a few poisoned examples, is tried harder too:
trusted examples alone do not show that a mechanism is only hushed. Once one is chosen these are of
more use in the repair, so it is done again with them; what proves it has still not been seen.
"""

import math
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from anomech.calibration.borne import borne
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.records import MethodResult, Share
from anomech.repair import measures
from anomech.repair.plan import RepairPlan
from anomech.repair.subject import Subject
from anomech.repair.trying import CHOSEN, Attempt, repeated, tried, weights


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
    made = _tried(plan, subject, out, progress)
    results = [result for _, result in made]
    before = measures.accuracy(subject.task, subject.trusted.choose, {})
    best = _best(results, before, plan.proof.lost)
    attempt = next(attempt for attempt, result in made if result is best)
    again = repeated(plan, attempt, best, subject, out, progress)
    told = best.model_copy(
        update={"problems": tuple(dict.fromkeys((*best.problems, *again.problems)))}
    )
    results = [told if each is best else each for each in results]
    return Choice(results, told, weights(out, CHOSEN))


def _tried(
    plan: RepairPlan, subject: Subject, out: Path, progress: Progress
) -> list[tuple[Attempt, MethodResult]]:
    """Results of the methods, as many as the time allows, and of one at least."""
    waiting = deque(Attempt(name, name, given) for name, given in plan.methods.items())
    made: list[tuple[Attempt, MethodResult]] = []
    clock = time.monotonic()
    while waiting:
        attempt = waiting.popleft()
        done = any(each.status == "done" for _, each in made)
        if plan.seconds and done and time.monotonic() - clock > plan.seconds:
            why = f"the time for trying ({plan.seconds:g} seconds) was over."
            made.append((attempt, MethodResult(name=attempt.name, status="left out", why=why)))
            continue
        result = tried(plan, attempt, subject, out, progress)
        made.append((attempt, result))
        hushed = result.back is not None and result.back > plan.proof.relearned
        if hushed and result.harder and attempt.name in plan.methods:
            options = {**attempt.options, **result.harder}
            waiting.appendleft(Attempt(f"{attempt.name}, harder", attempt.method, options))
        progress("trying repairs", len(made), len(made) + len(waiting))
    return made


def _best(results: list[MethodResult], before: Share, most: float) -> MethodResult:
    """The first method whose merit chance may have kept from being the highest.

    What costs more accuracy than the proof allows is no repair, however well it forgets, and is
    taken only where nothing keeps the accuracy. Plans name the best methods first, so another takes
    precedence only by more than one standard error of the highest merit.

    Args:
        results: of all methods, in the plan's order.
        before: accuracy of the model as it was.
        most: accuracy that the proof allows to be lost.

    Raises:
        DataError: none could be used.
    """
    done = [each for each in results if each.merit is not None]
    if not done:
        raise DataError(f"no repair could be used: {results[0].name}, because {results[0].why}")
    accurate = [each for each in done if _accurate(each, before, most)] or done
    top = max(accurate, key=_merit)
    return next(each for each in accurate if _merit(each) >= _merit(top) - _by_chance(top))


def _accurate(result: MethodResult, before: Share, most: float) -> bool:
    assert result.accuracy is not None, "a method that was done has one"
    return borne(before.value - result.accuracy.value, most, before.count)


def _merit(result: MethodResult) -> float:
    return result.merit or 0.0


def _by_chance(result: MethodResult) -> float:
    """Standard error of a merit, from the examples that it was counted on."""
    counted = [each for each in (result.accuracy, result.flagged) if each is not None]
    spreads = []
    for each in counted:
        share = (each.value * each.count + 1) / (each.count + 2)  # none of few is not never
        spreads.append(share * (1 - share) / each.count)
    return math.sqrt(sum(spreads)) / 2
