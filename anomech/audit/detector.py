"""The library's front door: a calibrated detector in two calls.

>>> detector = Detector(budget=0.01).fit(task, reference)  # doctest: +SKIP
>>> for verdict in detector.score(inputs):  # doctest: +SKIP
...     print(verdict.id, verdict.decision, verdict.cause, verdict.p_value)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from anomech import plugins
from anomech.audit.batch import Control, controlled
from anomech.audit.chunks import CHUNK, bounds
from anomech.audit.judging import Calibrated, Judged, calibrate
from anomech.audit.trusted import TrustedSplit, split_trusted
from anomech.audit.wording import reason
from anomech.calibration.conformal import require
from anomech.calibration.excess import chance_of_excess
from anomech.config import build
from anomech.data.observed import Observed, observe
from anomech.data.subset import Subset
from anomech.errors import CapabilityError, ConfigError
from anomech.records import Evidence, Verdict
from anomech.types import Examples, Method, Progress, Task, silent


@dataclass(frozen=True, kw_only=True)
class Detector:
    """A method, how it is calibrated, and how often it may be wrong.

    Args:
        method: name of a detector; `anomech describe detector` lists them.
        options: of the method.
        budget: false-positive rate that flags may have, between 0 and 1.
        control: what the budget bounds: the share of normal inputs that are flagged
            ("per_input"), or the expected share of false flags among all flags of one call
            ("batch", Benjamini-Hochberg).
        anchor_share: share of the trusted set that methods learn from; the rest calibrates.
        most_anchors: anchors at the most; what is over calibrates.
        per_class: p-values within a class where it has enough calibration examples.
        seed: of the split and of everything random in the method.
    """

    method: str = "functional_attribution"
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: float = 0.01
    control: Control = "per_input"
    anchor_share: float = 0.5
    most_anchors: int = 2000
    per_class: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.budget < 1:
            raise ConfigError(f"the budget must lie between 0 and 1, not {self.budget:g}.")
        if not 0 < self.anchor_share < 1:
            raise ConfigError(f"anchor_share must lie between 0 and 1, not {self.anchor_share:g}.")

    def fit(
        self, task: Task, reference: Examples, *, progress: Progress = silent
    ) -> "FittedDetector":
        """Learn from trusted examples with labels.

        Raises:
            ConfigError: no such method or option.
            CapabilityError: the task cannot give what the method needs.
            Inconclusive: too few trusted examples for the budget.
            DataError: the trusted examples have no labels, or do not fit the model.
        """
        method = make_method(self.method, self.options)
        check_needs(self.method, method, task)
        require(round(len(reference) * (1 - self.anchor_share)), self.budget)
        split = split_trusted(
            task,
            reference,
            share=self.anchor_share,
            most=self.most_anchors,
            seed=self.seed,
            progress=progress,
        )
        require(len(split.calibration), self.budget)
        calibrated = calibrate(
            self.method,
            method,
            split.anchors,
            split.calibration,
            budget=self.budget,
            per_class=self.per_class,
            seed=self.seed,
            progress=progress,
        )
        return FittedDetector(task, split, calibrated, self.control)


@dataclass(frozen=True)
class FittedDetector:
    """A calibrated detector of one model.

    Attributes:
        task: the model.
        split: how the trusted set was used.
        calibrated: the method with its calibration.
        control: what the budget bounds.
    """

    task: Task
    split: TrustedSplit
    calibrated: Calibrated
    control: Control = "per_input"

    def score(self, inputs: Examples, *, progress: Progress = silent) -> list[Verdict]:
        """A verdict on every input, in order: score, p-value, decision, cause and evidence.

        Inputs are taken chunk by chunk, so traces of many do not have to fit into memory at once.
        """
        rows: list[Verdict] = []
        for places in bounds(len(inputs), CHUNK):
            observed = observe(self.task, Subset(inputs, places))
            judged = self.calibrated.judge(observed, silent)
            rows += verdicts(self.calibrated, judged, observed, self.split.anchors)
            progress("judging inputs", len(rows), len(inputs))
        return controlled(rows, self.calibrated.budget, self.control)

    def chance(self, verdicts: list[Verdict]) -> float:
        """How likely so many inputs pass the budget if every input is normal."""
        budget = self.calibrated.budget
        flags = sum(row.p_value is not None and row.p_value <= budget for row in verdicts)
        return chance_of_excess(flags, len(verdicts), len(self.calibrated.groups), budget)


def make_method(name: str, options: Mapping[str, Any]) -> Method:
    """The method of this name with its options.

    Raises:
        ConfigError: no such method or option.
    """
    return build(plugins.get("detector", name), options, f"detector {name}")


def check_needs(name: str, method: Method, task: Task) -> None:
    """Refuse a method before any compute if the task cannot give what it needs.

    Raises:
        CapabilityError: names what is missing.
    """
    missing = sorted(method.needs - task.provides)
    if missing:
        raise CapabilityError(
            f"detector {name} needs {', '.join(missing)}, which this kind of model does not give; "
            "choose another detector."
        )


def verdicts(
    calibrated: Calibrated, judged: Judged, observed: Observed, anchors: Observed
) -> list[Verdict]:
    """Records of what was judged."""
    answers = observed.task.words(observed.answers)
    anchor_answers = anchors.task.words(anchors.answers)
    rows = []
    for place, example in enumerate(observed.examples.ids):
        decision, p_value = judged.decisions[place], float(judged.p_values[place])
        finite = bool(torch.isfinite(judged.scores.score[place]))
        cause = judged.cause(place) if decision == "flag" else None
        rows.append(
            Verdict(
                id=example,
                answer=answers[place],
                score=float(judged.scores.score[place]) if finite else None,
                p_value=p_value if finite else None,
                decision=decision,
                cause=cause,
                views={name: float(view[place]) for name, view in judged.views.items()},
                reason=reason(
                    decision,
                    p_value=p_value,
                    budget=calibrated.budget,
                    cause=cause,
                    problems=calibrated.problems,
                    finite=finite,
                ),
                evidence=_evidence(judged, place, anchors, anchor_answers) if finite else (),
                explained={
                    part: float(values[place])
                    for part, values in (judged.scores.explained or {}).items()
                    if finite
                },
            )
        )
    return rows


def _evidence(
    judged: Judged, place: int, anchors: Observed, answers: list[str]
) -> tuple[Evidence, ...]:
    scores = judged.scores
    if scores.nearest is None or scores.couplings is None:
        return ()
    return tuple(
        Evidence(anchor=anchors.examples.ids[anchor], answer=answers[anchor], coupling=coupling)
        for anchor, coupling in zip(
            scores.nearest[place].tolist(), scores.couplings[place].tolist(), strict=True
        )
    )
