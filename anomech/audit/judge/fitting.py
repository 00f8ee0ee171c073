"""From a plan and what it names to calibrated detectors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from anomech.audit.judge.calibrated import Calibrated, calibrate
from anomech.audit.judge.detectors import check_needs, make_detector
from anomech.audit.judge.trusted import TrustedSplit, split_trusted
from anomech.audit.load.loading import Loaded
from anomech.audit.plan import Plan
from anomech.audit.probing.asked import ask
from anomech.audit.probing.verdicts import require_sound
from anomech.calibration.conformal import require
from anomech.kernel.detector import Detector
from anomech.kernel.errors import CapabilityError, Inconclusive
from anomech.kernel.types import Engine, Progress
from anomech.records import Finding


@dataclass(frozen=True)
class Fitted:
    """All detectors of a run, calibrated.

    Attributes:
        split: how the trusted set was used.
        detectors: by name; the lead is among them.
        lead: the one that gives the verdicts.
        seconds: that each took to fit and calibrate.
        skipped: detectors that this model cannot serve, with the reason.
        noticed: what the model and its trusted set showed before anything was judged.
    """

    split: TrustedSplit
    detectors: Mapping[str, Calibrated]
    lead: Calibrated
    seconds: Mapping[str, float]
    skipped: Mapping[str, str]
    noticed: tuple[Finding, ...] = ()


def fit(plan: Plan, loaded: Loaded, progress: Progress, engine: Engine | None = None) -> Fitted:
    """Fit and calibrate every detector of a plan; independent chains run on the engine.

    Raises:
        CapabilityError: the model cannot give what the lead needs.
        Inconclusive: too few trusted examples for the budget, or a model without answers of
            its own to each.
    """
    reference, task = loaded.reference, loaded.task
    require(round(len(reference) * (1 - plan.anchor_share)), plan.budget)
    usable: dict[str, Detector] = {}
    skipped: dict[str, str] = {}
    for name, options in plan.detectors.items():
        detector = make_detector(name, options)
        try:
            check_needs(name, detector, task)
        except CapabilityError as error:
            if name == plan.lead:
                raise
            skipped[name] = str(error)
        else:
            usable[name] = detector
    split = split_trusted(
        task,
        reference,
        share=plan.anchor_share,
        most=plan.most_anchors,
        seed=plan.seed,
        progress=progress,
    )
    require(len(split.calibration), plan.budget)
    noticed = ask(task, split)
    require_sound(noticed)
    detectors, seconds = {}, {}
    for name, detector in usable.items():
        clock = time.monotonic()
        try:
            detectors[name] = calibrate(
                name,
                detector,
                replace(split.anchors, engine=engine),
                replace(split.calibration, engine=engine),
                budget=plan.budget,
                per_class=plan.per_class,
                seed=plan.seed,
                progress=progress,
                covered=split.covered,
            )
        except Inconclusive as error:
            if name == plan.lead:
                raise
            skipped[name] = str(error)
        seconds[name] = time.monotonic() - clock
    lead = detectors[plan.lead]
    return Fitted(split, detectors, lead, seconds, skipped, (*noticed, *lead.noticed))
