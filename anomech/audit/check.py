"""The preflight: what an audit of this plan would meet, in seconds instead of hours.

It opens everything an audit opens, fits the plan's detectors on some trusted examples, judges a few
inputs, and keeps the findings, the time it took, and nothing of the verdicts: they would rest on
too little. What it asks, an audit asks again on everything.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from anomech.audit.judge.detectors import make_detector, only_learned_from
from anomech.audit.judge.fitting import Fitted, fit
from anomech.audit.judge.piece import Piece, Shared, judge_chunk, light
from anomech.audit.judge.verdicts import anchor_names
from anomech.audit.load.loading import Loaded, load
from anomech.audit.plan import Plan
from anomech.audit.probing import files
from anomech.audit.probing.verdicts import Unsound
from anomech.calibration.sufficiency import calibrating, to_give
from anomech.data.subset import Subset
from anomech.kernel.errors import ConfigError, Inconclusive
from anomech.kernel.types import Examples, Progress
from anomech.records import Finding, Preflight
from anomech.roles.task import Features, Task, able

PATIENCE = 10.0
"""Seconds that fitting should take at the most; fewer trusted examples are taken for it."""

LEAST, MOST = 60, 2000
"""Trusted examples that are taken."""

JUDGED = 32
"""Inputs that are judged, to learn how long it takes."""

FIT_COST = 8.0
"""What fitting costs for a trusted example, in forward passes: answers, traces and projections."""


def check(plan: Plan, progress: Progress, workers: int = 0) -> Preflight:
    """Ask everything that can be asked before the audit.

    Args:
        plan: resolved.
        progress: told about every stage.
        workers: processes that read examples ahead.

    Raises:
        AnomechError: an audit of this plan would be refused for the same reason.
    """
    loaded = load(plan, progress, workers)
    reference = loaded.reference
    if reference is None:
        raise ConfigError("a profile holds no trusted examples to check; give --reference PATH.")
    listed = [
        *files.probe("inputs", loaded.inputs, loaded.task),
        *files.probe("trusted examples", reference, loaded.task),
    ]
    lead = make_detector(plan.lead, plan.detectors[plan.lead])
    share = only_learned_from(lead, plan.anchor_share)
    needed = to_give(plan.budget, share, plan.most_anchors)
    if len(reference) < needed:
        listed.append(_too_few(plan, share, len(reference), needed))
    seen = Preflight(
        title=loaded.title,
        budget=plan.budget,
        inputs=len(loaded.inputs),
        trusted=len(reference),
        calibrating=calibrating(len(reference), share, plan.most_anchors),
        needed=needed,
        inconclusive=len(reference) < needed,
        findings=tuple(listed),
    )
    try:
        return _tried(plan, loaded, reference, seen, progress)
    except Inconclusive as error:
        why = error.finding if isinstance(error, Unsound) else _no_answer(str(error))
        told = (*listed, why)
        return seen.model_copy(update={"inconclusive": True, "findings": told})


def _tried(
    plan: Plan, loaded: Loaded, reference: Examples, seen: Preflight, progress: Progress
) -> Preflight:
    """What is seen when some trusted examples are fitted and some inputs judged."""
    places = _sample(loaded.task, reference)
    clock = time.monotonic()
    some = reference if len(places) == len(reference) else Subset(reference, places)
    fitted = fit(replace(plan, budget=0.5), loaded.task, some, progress)
    fitting = (time.monotonic() - clock) / len(places)
    clock = time.monotonic()
    judged = _judged(plan, loaded, fitted)
    judging = (time.monotonic() - clock) / judged
    return seen.model_copy(
        update={
            "seconds": fitting * len(reference) + judging * len(loaded.inputs),
            "inconclusive": seen.inconclusive or bool(fitted.lead.problems),
            "facts": dict(_facts(loaded, fitted)),
            "findings": (*seen.findings, *fitted.noticed),
        }
    )


def _sample(task: Task, reference: Examples) -> np.ndarray:
    """Places of the trusted examples that can be fitted in time, evenly from first to last."""
    few = np.arange(min(8, len(reference)))
    task.respond({}, reference.load(few))  # the first pass of a network costs more than others
    clock = time.monotonic()
    task.respond({}, reference.load(few))
    one = max(1e-6, (time.monotonic() - clock) / len(few))
    count = min(len(reference), MOST, max(LEAST, int(PATIENCE / (FIT_COST * one))))
    return np.unique(np.linspace(0, len(reference) - 1, count).round().astype(np.int64))


def _judged(plan: Plan, loaded: Loaded, fitted: Fitted) -> int:
    """Judge a few inputs; how many."""
    places = np.arange(min(JUDGED, len(loaded.inputs)))
    shared = Shared(
        task=fitted.task,
        detectors={name: light(each) for name, each in fitted.detectors.items()},
        lead=plan.lead,
        anchors=anchor_names(fitted.trusted),
        basis="",
        unsure=fitted.trusted.unsure,
    )
    judge_chunk(shared, Piece(0, Subset(loaded.inputs, places), ""))
    return len(places)


def _facts(loaded: Loaded, fitted: Fitted) -> Iterator[tuple[str, str]]:
    """What was seen, in words."""
    task, trusted = fitted.task, fitted.trusted
    yield "model", f"{task.kind}, {loaded.title}"
    yield "different answers", f"{len(set(trusted.answers))} to {len(trusted)} trusted examples"
    if trusted.accuracy is not None:
        yield "agreement with labels", f"{trusted.accuracy:.1%} of {len(trusted)} trusted examples"
    if Features in task.provides:
        yield "features", f"what goes into '{able(task, Features).feature_layer}'"
    yield "watched parameters", str(len(task.watched))
    for name, value in (fitted.lead.fitted.health.facts or {}).items():
        yield name, f"{value:g}"


def _too_few(plan: Plan, share: float, total: int, needed: int) -> Finding:
    learned = (
        f": a share of {share:g} of them, {plan.most_anchors} at the most, is learned from, and "
        "the rest calibrates."
    )
    return Finding(
        code="too-few-trusted",
        severity="high",
        title=f"{total} trusted examples are too few for a budget of {plan.budget:g}",
        detail=f"It needs {needed}" + (learned if share else ", all of which calibrate."),
        action=f"Give {needed - total} more, or a larger --budget.",
    )


def _no_answer(why: str) -> Finding:
    return Finding(
        code="no-answer",
        severity="high",
        title="An audit would be inconclusive",
        detail=f"{why[:1].upper()}{why[1:]}",
        action="Follow the sentence above, then check again.",
    )
