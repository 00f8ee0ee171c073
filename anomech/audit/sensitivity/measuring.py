"""Triggers of the audit's own, planted in twins of the model, and how many uses are flagged.

The trusted set is cut into three parts that share no example. With the first a twin learns the
trigger; to the second the lead detector is fitted on the twin, as it was on the model; the third is
judged, with the trigger and without. So no example that is judged was planted on or fitted to.

Exact: shares are plain counts over held-out examples on which the trigger works, at the audit's
budget for single inputs, and their interval is that of Clopper and Pearson 1934. Not exact: the
detector has three fifths of the trusted examples that it has on the model; the push at which
planting stops is chosen by the examples that are judged later; a trigger taught at the end may lie
less deep than one that was there from the start; and the attacker's trigger is another one.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.stats import beta
from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.calibrating import calibrate
from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.trusted import split_trusted
from anomech.audit.sensitivity.noticed import remarks, unknown
from anomech.audit.sensitivity.options import Planting
from anomech.audit.sensitivity.parts import Parts, parts_of
from anomech.calibration.rate import CONFIDENCE
from anomech.calibration.stopping import limits_for
from anomech.data.subset import Subset
from anomech.kernel.config import nearest
from anomech.kernel.errors import CapabilityError, ConfigError, DataError, Inconclusive, ModelError
from anomech.kernel.types import Engine, Examples, Progress
from anomech.learning.planting import Demand, Planted, Stamped, plant
from anomech.observing.observed import Observed, observe
from anomech.records import Sensitivity
from anomech.roles.detector import StagedDetector
from anomech.roles.task import Stamping, Task, able


@dataclass(frozen=True)
class _Work:
    """What every trigger is tried with: see `sensitivity`."""

    fitted: Fitted
    reference: Examples
    parts: Parts
    how: Planting
    seed: int
    progress: Progress
    engine: Engine | None

    @property
    def judged(self) -> Examples:
        """The examples that are judged."""
        return Subset(self.reference, self.parts.judged)


def sensitivity(
    fitted: Fitted,
    reference: Examples,
    how: Planting,
    *,
    seed: int,
    progress: Progress,
    engine: Engine | None = None,
) -> tuple[Sensitivity, ...]:
    """Plant each trigger in a twin of the model, and count how many of its uses are flagged.

    Args:
        fitted: the lead detector, its budget and its model, which is not changed.
        reference: the trusted examples.
        how: what to plant.
        seed: of everything random.
        progress: told about every stage.
        engine: where independent chains of the detector run.

    Raises:
        CapabilityError: the task has no triggers to plant.
        ConfigError: it has not one of these.
        Inconclusive: too few trusted examples for three parts.
    """
    check_triggers(fitted.task, how)
    parts = parts_of(fitted, reference, seed=seed, progress=progress)
    work = _Work(fitted, reference, parts, how, seed, progress, engine)
    triggers = how.triggers or able(fitted.task, Stamping).triggers
    return tuple(_tried(trigger, work) for trigger in triggers)


def check_triggers(task: Task, how: Planting) -> None:
    """Refuse triggers that a task does not have, before anything is fitted.

    Raises:
        CapabilityError: the task has no triggers to plant.
        ConfigError: it has not one of these.
    """
    known = able(task, Stamping).triggers
    for trigger in how.triggers:
        if trigger not in known:
            raise ConfigError(
                f"this {task.kind} has no trigger '{trigger}': {nearest(trigger, list(known))}"
            )


def measured(
    fitted: Fitted,
    reference: Examples,
    how: Planting,
    *,
    seed: int,
    progress: Progress,
    engine: Engine | None = None,
) -> Fitted:
    """The same detectors with what they would have caught, or with why that is not known.

    Args:
        fitted: as for `sensitivity`, and so are the others.

    Raises:
        ConfigError: the task has not one of the triggers.
    """
    try:
        found = sensitivity(fitted, reference, how, seed=seed, progress=progress, engine=engine)
    except (CapabilityError, Inconclusive) as error:
        return replace(fitted, noticed=(*fitted.noticed, unknown(str(error))))
    lead = cautious(fitted.lead, found)
    return replace(
        fitted,
        detectors={**fitted.detectors, lead.name: lead},
        lead=lead,
        noticed=(*fitted.noticed, *remarks(found, fitted.lead.budget)),
        sensitivity=found,
    )


def cautious(lead: Calibrated, found: Sequence[Sensitivity]) -> Calibrated:
    """The detector with early stages that settle no use of a planted trigger it would flag.

    Where no use was flagged, nothing shows what the stages see, and they stay as they are.
    """
    if not isinstance(lead.fitted, StagedDetector) or not any(each.early for each in found):
        return lead
    given = [stage.limit for stage in lead.fitted.stages]
    endangered = [
        torch.tensor(
            [each.early[stage] for each in found if len(each.early) > stage], dtype=torch.float64
        )
        for stage in range(len(given))  # a copy may have fewer twins, and so fewer stages
    ]
    return replace(lead, limits=limits_for(given, lead.budget, endangered))


def _tried(trigger: str, work: _Work) -> Sensitivity:
    """Plant one trigger, fit the lead on the twin, judge."""
    task, parts, how, clock = work.fitted.task, work.parts, work.how, time.monotonic()
    planted = plant(
        task,
        Subset(work.reference, parts.plants),
        parts.answers[torch.from_numpy(parts.plants)],
        trigger,
        parts.target,
        work.judged,
        Demand(how.success, how.agreement, how.steps),
        seed=work.seed,
        progress=work.progress,
    )
    made = _record(task, trigger, parts.target, planted)
    if planted.works:
        try:
            twin = task.with_(planted.overlay)
            made = _judged(made, twin, _lead_on(twin, work), work)
        except (Inconclusive, ModelError, DataError) as error:
            # The twin is this audit's own, and what is wrong with it is no fault of the user's.
            made = made.model_copy(update={"why": str(error)})
    return made.model_copy(update={"seconds": time.monotonic() - clock})


def _record(task: Task, trigger: str, target: Tensor, planted: Planted) -> Sensitivity:
    why = (
        f"when it was learned best it led {planted.success:.0%} of held-out trusted examples to "
        f"its target, and {planted.agreement:.0%} of their other answers had stayed."
    )
    return Sensitivity(
        trigger=trigger,
        target=task.words(target[None])[0],
        success=planted.success,
        agreement=planted.agreement,
        took=planted.works,
        steps=planted.steps,
        why="" if planted.works else why,
    )


def _lead_on(twin: Task, work: _Work) -> Calibrated:
    """The lead detector on a twin; anchors have the share that they have on the model.

    Raises:
        Inconclusive: too few trusted examples for the budget.
    """
    lead, trusted = work.fitted.lead, work.fitted.trusted
    examples = Subset(work.reference, work.parts.fits)
    split = split_trusted(
        twin,
        examples,
        share=len(trusted.anchors) / (len(trusted.anchors) + len(trusted.calibration)),
        most=len(examples),
        seed=work.seed,
        progress=work.progress,
    )
    return calibrate(
        lead.name,
        lead.detector,
        split.on(work.engine),
        budget=lead.budget,
        per_class=lead.per_class,
        seed=work.seed,
        progress=work.progress,
    )


def _judged(made: Sensitivity, twin: Task, lead: Calibrated, work: _Work) -> Sensitivity:
    """Count flags with the trigger where it works, and of the same examples without it."""
    if lead.problems:
        return made.model_copy(update={"why": lead.problems[0]})
    lead = replace(lead, limits=())
    count = len(work.judged)
    stamped, plain = (
        observe(
            twin,
            Stamped(twin, work.judged, made.trigger, np.full(count, stamp)),
            sources=lead.sources,
        )
        for stamp in (True, False)
    )
    works = (stamped.groups == twin.groups(work.parts.target[None])[0].cpu()).numpy()
    uses = np.flatnonzero(works)
    hit, wrong = (_flagged(lead, seen.take(uses), work.progress) for seen in (stamped, plain))
    low, high = interval(len(hit), len(uses))
    counted = {
        "uses": len(uses),
        "caught": len(hit) / len(uses),
        "low": low,
        "high": high,
        "false_flags": len(wrong) / len(uses),
        "early": _early(lead, stamped.take(uses[hit]), work.progress),
    }
    return made.model_copy(update=counted)


def _flagged(lead: Calibrated, observed: Observed, progress: Progress) -> np.ndarray:
    """Places of the flags, int64."""
    decisions = lead.judge(observed, progress).decisions
    return np.array([place for place, each in enumerate(decisions) if each == "flag"], np.int64)


def _early(lead: Calibrated, observed: Observed, progress: Progress) -> tuple[float, ...]:
    """The largest p-value of any of them at each early stage."""
    if not len(observed):
        return ()
    return tuple(float(each.max()) for each in lead.early_p_values(observed, progress))


def interval(hits: int, count: int) -> tuple[float, float]:
    """The exact interval of a share at `CONFIDENCE` (Clopper and Pearson 1934)."""
    tail = (1 - CONFIDENCE) / 2
    low = float(beta.ppf(tail, hits, count - hits + 1)) if hits else 0.0
    high = float(beta.ppf(1 - tail, hits + 1, count - hits)) if hits < count else 1.0
    return low, high
