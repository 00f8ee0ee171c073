"""The library's front door: an audit in two calls.

>>> auditor = Auditor(budget=0.01).fit(task, reference)  # doctest: +SKIP
>>> for verdict in auditor.score(inputs):  # doctest: +SKIP
...     print(verdict.id, verdict.decision, verdict.cause, verdict.p_value)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from anomech.audit.judge.batch import Control, controlled
from anomech.audit.judge.calibrated import Calibrated, calibrate
from anomech.audit.judge.chunks import CHUNK, bounds
from anomech.audit.judge.detectors import check_needs, make_detector
from anomech.audit.judge.trusted import TrustedSplit, split_trusted
from anomech.audit.judge.verdicts import anchor_names, verdicts
from anomech.audit.probing.asked import ask
from anomech.audit.probing.verdicts import require_sound
from anomech.calibration.conformal import require
from anomech.calibration.excess import chance_of_excess
from anomech.data.subset import in_pieces
from anomech.kernel.errors import ConfigError
from anomech.kernel.task import Task
from anomech.kernel.types import Examples, Progress, silent
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.records import Finding, Verdict


@dataclass(frozen=True, kw_only=True)
class Auditor:
    """A detector, how it is calibrated, and how often it may be wrong.

    Args:
        detector: its name; `anomech describe detector` lists them.
        options: of the detector.
        budget: false-positive rate that flags may have, between 0 and 1.
        control: what the budget bounds: the share of normal inputs that are flagged
            ("per_input"), or the expected share of false flags among all flags of one call
            ("batch", Benjamini-Hochberg).
        anchor_share: share of the trusted set that detectors learn from; the rest calibrates.
        most_anchors: anchors at the most; what is over calibrates.
        per_class: p-values within a class where it has enough calibration examples.
        seed: of the split and of everything random in the detector.
    """

    detector: str = "functional_attribution"
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: float = 0.01
    control: Control = "per_input"
    anchor_share: float = 0.5
    most_anchors: int = 2000
    per_class: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1e-6 <= self.budget < 1:
            raise ConfigError(
                f"the budget must lie between 0.000001 and 1, not {self.budget:g}; choose another."
            )
        if not 0 < self.anchor_share < 1:
            raise ConfigError(f"anchor_share must lie between 0 and 1, not {self.anchor_share:g}.")

    def fit(
        self, task: Task, reference: Examples, *, progress: Progress = silent
    ) -> "FittedAuditor":
        """Learn from trusted examples with labels.

        Raises:
            ConfigError: no such detector or option.
            CapabilityError: the task cannot give what the detector needs.
            Inconclusive: too few trusted examples for the budget, or a model without answers of
                its own to each.
            DataError: the trusted examples have no labels, or do not fit the model.
        """
        detector = make_detector(self.detector, self.options)
        task = prepared(task, reference)
        check_needs(self.detector, detector, task)
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
        noticed = ask(task, split)
        require_sound(noticed)
        calibrated = calibrate(
            self.detector,
            detector,
            split.anchors,
            split.calibration,
            budget=self.budget,
            per_class=self.per_class,
            seed=self.seed,
            progress=progress,
            covered=split.covered,
        )
        findings = (*noticed, *calibrated.noticed)
        return FittedAuditor(task, split, calibrated, self.control, findings)


@dataclass(frozen=True)
class FittedAuditor:
    """A calibrated detector, for one model.

    Attributes:
        task: the model.
        split: how the trusted set was used.
        calibrated: the detector with its calibration.
        control: what the budget bounds.
        findings: what the model and its trusted set showed before anything was judged.
    """

    task: Task
    split: TrustedSplit
    calibrated: Calibrated
    control: Control = "per_input"
    findings: tuple[Finding, ...] = ()

    def score(self, inputs: Examples, *, progress: Progress = silent) -> list[Verdict]:
        """A verdict on every input, in order: score, p-value, decision, cause and evidence.

        Inputs are taken chunk by chunk, so traces of many do not have to fit into memory at once.
        """
        rows = list(self._judged(inputs, progress))
        return controlled(rows, self.calibrated.budget, self.control)

    def stream(self, inputs: Examples, *, progress: Progress = silent) -> Iterator[Verdict]:
        """Verdicts one by one, for more inputs than verdicts fit into memory.

        They are those of `score`, without q-values, which need all p-values first.

        Raises:
            ConfigError: control is "batch", which decides over all inputs together.
        """
        if self.control == "batch":
            raise ConfigError(
                "control='batch' decides over all inputs together, so verdicts cannot come one by "
                "one; use score, or control='per_input'."
            )
        return self._judged(inputs, progress)

    def _judged(self, inputs: Examples, progress: Progress) -> Iterator[Verdict]:
        anchors, done = anchor_names(self.split.anchors), 0
        for held in in_pieces(inputs, bounds(len(inputs), CHUNK)):
            observed = observe(self.task, held, source=self.calibrated.source)
            judged = self.calibrated.judge(observed, silent)
            yield from verdicts(self.calibrated, judged, observed, anchors)
            done += len(held)
            progress("judging inputs", done, len(inputs))

    def chance(self, verdicts: list[Verdict]) -> float:
        """How likely so many inputs pass the budget if every input is normal."""
        budget = self.calibrated.budget
        flags = sum(row.p_value is not None and row.p_value <= budget for row in verdicts)
        return chance_of_excess(flags, len(verdicts), len(self.calibrated.groups), budget)
