"""From a plan and what it names to calibrated detectors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from anomech.audit import findings
from anomech.audit.detector import check_needs, make_method
from anomech.audit.judging import Calibrated, calibrate
from anomech.audit.loading import Loaded
from anomech.audit.plan import Plan
from anomech.audit.trusted import TrustedSplit, split_trusted
from anomech.calibration.conformal import require
from anomech.kernel.detector import Method
from anomech.kernel.errors import CapabilityError, Inconclusive
from anomech.kernel.types import Engine, Progress
from anomech.records import Finding


@dataclass(frozen=True)
class Fitted:
    """All detectors of a run, calibrated.

    Attributes:
        split: how the trusted set was used.
        methods: by name; the lead is among them.
        lead: the one that gives the verdicts.
        seconds: that each took to fit and calibrate.
        skipped: findings about detectors that this model cannot serve.
    """

    split: TrustedSplit
    methods: Mapping[str, Calibrated]
    lead: Calibrated
    seconds: Mapping[str, float]
    skipped: tuple[Finding, ...]


def fit(plan: Plan, loaded: Loaded, progress: Progress, engine: Engine | None = None) -> Fitted:
    """Fit and calibrate every detector of a plan; independent chains run on the engine.

    Raises:
        CapabilityError: the model cannot give what the lead needs.
        Inconclusive: too few trusted examples for the budget.
    """
    reference, task = loaded.reference, loaded.task
    require(round(len(reference) * (1 - plan.anchor_share)), plan.budget)
    usable: dict[str, Method] = {}
    skipped = []
    for name, options in plan.detectors.items():
        method = make_method(name, options)
        try:
            check_needs(name, method, task)
        except CapabilityError as error:
            if name == plan.lead:
                raise
            skipped.append(findings.poor_health(name, str(error)))
        else:
            usable[name] = method
    split = split_trusted(
        task,
        reference,
        share=plan.anchor_share,
        most=plan.most_anchors,
        seed=plan.seed,
        progress=progress,
    )
    require(len(split.calibration), plan.budget)
    methods, seconds = {}, {}
    for name, method in usable.items():
        clock = time.monotonic()
        try:
            methods[name] = calibrate(
                name,
                method,
                replace(split.anchors, engine=engine),
                replace(split.calibration, engine=engine),
                budget=plan.budget,
                per_class=plan.per_class,
                seed=plan.seed,
                progress=progress,
            )
        except Inconclusive as error:
            if name == plan.lead:
                raise
            skipped.append(findings.poor_health(name, str(error)))
        seconds[name] = time.monotonic() - clock
    return Fitted(split, methods, methods[plan.lead], seconds, tuple(skipped))
