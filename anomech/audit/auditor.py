"""The library's front door: an audit in two calls.

>>> auditor = Auditor(budget=0.01).fit(task, reference)  # doctest: +SKIP
>>> for verdict in auditor.score(inputs):  # doctest: +SKIP
...     print(verdict.id, verdict.decision, verdict.cause, verdict.p_value)
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from anomech.audit.judge.batch import Control, controlled
from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.chunks import CHUNK, bounds
from anomech.audit.judge.fitting import Fitted, fit
from anomech.audit.judge.verdicts import anchor_names, verdicts
from anomech.audit.probing.minority import Doubtful
from anomech.audit.profile import read_profile, write_profile
from anomech.audit.sensitivity.measuring import sensitivity
from anomech.audit.sensitivity.options import Planting
from anomech.calibration.excess import chance_of_excess, traffic_of
from anomech.data.subset import in_pieces
from anomech.kernel.errors import ConfigError, shown
from anomech.kernel.types import Examples, Progress, silent
from anomech.observing.observed import observe
from anomech.records import Finding, Sensitivity, Verdict
from anomech.roles.access import Access
from anomech.roles.task import Task


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
        anchor_share: share of the trusted set that detectors learn from; the rest calibrates. The
            default detector holds examples out by itself and uses all of them both ways.
        most_anchors: anchors at the most; what is over calibrates.
        per_class: p-values within a class where it has enough calibration examples.
        seed: of the split and of everything random in the detector.
        doubtful: a few trusted examples that lie together, apart from the rest of their class, stay
            trusted ("keep"; `findings` name them) or not ("leave_out").
        access: what of the model may be seen (labels, probabilities, activations, gradients or
            weights); empty is all that it gives.
    """

    detector: str = "functional_attribution"
    options: Mapping[str, Any] = field(default_factory=dict)
    budget: float = 0.01
    control: Control = "per_input"
    anchor_share: float = 0.5
    most_anchors: int = 2000
    per_class: bool = False
    seed: int = 0
    doubtful: Doubtful = "keep"
    access: str = ""

    def __post_init__(self) -> None:
        if not 1e-6 <= self.budget < 1:
            raise ConfigError(
                f"the budget must lie between 0.000001 and 1, not {self.budget:g}; choose another."
            )
        if self.doubtful not in get_args(Doubtful):
            raise ConfigError(
                f"doubtful is one of {', '.join(get_args(Doubtful))}, not {shown(self.doubtful)}."
            )
        if self.access not in ("", *Access):
            raise ConfigError(f"access is one of {', '.join(Access)}, not {shown(self.access)}.")
        if not 0 < self.anchor_share < 1:
            raise ConfigError(f"anchor_share must lie between 0 and 1, not {self.anchor_share:g}.")

    def fit(
        self, task: Task, reference: Examples, *, progress: Progress = silent
    ) -> "FittedAuditor":
        """Learn from trusted examples; without labels the model's own answers are trusted.

        Raises:
            ConfigError: no such detector or option.
            CapabilityError: the task cannot give what the detector needs.
            Inconclusive: too few trusted examples for the budget.
            DataError: the trusted examples do not fit the model.
        """
        return FittedAuditor(fit(self, task, reference, progress), self.control)

    @property
    def lead(self) -> str:
        """The only detector, which gives the verdicts."""
        return self.detector

    @property
    def detectors(self) -> Mapping[str, Mapping[str, Any]]:
        """It with its options."""
        return {self.detector: self.options}


@dataclass(frozen=True)
class FittedAuditor:
    """Calibrated detectors, for one model; the lead gives the verdicts.

    Attributes:
        fitted: the detectors and how the trusted set was used.
        control: what the budget bounds.
    """

    fitted: Fitted
    control: Control = "per_input"

    @property
    def task(self) -> Task:
        """The model."""
        return self.fitted.task

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the model and its trusted set showed before anything was judged."""
        return self.fitted.noticed

    @property
    def calibrated(self) -> Calibrated:
        """The detector that gives the verdicts."""
        return self.fitted.lead

    def save(self, path: str | Path) -> None:
        """Write a profile: all that judging needs, without the trusted examples.

        `anomech.load_profile` reads it.

        Raises:
            CapabilityError: the detector or its tracer holds what cannot be saved.
            RunError: the file cannot be written.
        """
        write_profile(Path(path), self.fitted, {"control": self.control})

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
        anchors, done = anchor_names(self.fitted.trusted), 0
        for held in in_pieces(inputs, bounds(len(inputs), CHUNK)):
            observed = observe(self.task, held, sources=self.calibrated.sources)
            judged = self.calibrated.judge(observed, silent)
            yield from verdicts(self.calibrated, judged, observed, anchors)
            done += len(held)
            progress("judging inputs", done, len(inputs))

    def sensitivity(
        self,
        reference: Examples,
        how: Planting | None = None,
        *,
        seed: int = 0,
        progress: Progress = silent,
    ) -> tuple[Sensitivity, ...]:
        """What it would have caught of triggers that are planted in twins of the model.

        Their uses on held-out trusted examples are judged. It promises nothing about other
        triggers; `anomech.audit.sensitivity.measuring` says what is exact and what is not.

        Args:
            reference: the trusted examples that it was fitted to.
            how: what to plant; None is the usual.
            seed: of everything random.
            progress: told about every stage.

        Raises:
            CapabilityError: the task has no triggers to plant.
            ConfigError: it has not one of these.
            Inconclusive: too few trusted examples.
        """
        return sensitivity(self.fitted, reference, how or Planting(), seed=seed, progress=progress)

    def chance(self, verdicts: list[Verdict]) -> float:
        """How likely so many inputs pass the budget if every input is normal."""
        budget = self.calibrated.budget
        flags = sum(row.p_value is not None and row.p_value <= budget for row in verdicts)
        sizes = self.calibrated.strata.sizes
        judged = Counter(row.stratum or 0 for row in verdicts)
        counts = [judged[stratum] for stratum in range(len(sizes))]
        return chance_of_excess(flags, traffic_of(sizes, counts), budget)


def load_profile(path: str | Path, task: Task) -> FittedAuditor:
    """What `FittedAuditor.save` or `anomech fit` wrote, for the model it was fitted to.

    Raises:
        DataError: there is no such profile, it was changed, or another version wrote it.
        ModelError: it was fitted to another model.
    """
    fitted, options = read_profile(Path(path), task)
    control: Control = "batch" if options.get("control") == "batch" else "per_input"
    return FittedAuditor(fitted, control)
