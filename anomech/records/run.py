"""What a run leaves on disk. A run is a folder; these are its files.

run.json        `Run`: status, provenance, what was asked, what was left out, costs
plan.yaml       the resolved plan; `anomech audit --plan plan.yaml` replays the run
examples.jsonl  `ExampleRow` for every trusted example and input
scores/X.jsonl  `ScoreRow` of detector X for every input and calibration example
verdicts.jsonl  `Verdict` for every input
findings.json   `Finding`s about the model and the run
previews/       small pictures or texts of what the report shows
report.html     made from the files above alone

Written whole or not at all; numbers are finite or absent, never NaN.
"""

from typing import Literal

import pydantic

SCHEMA_VERSION = 1

Decision = Literal["flag", "clear", "inconclusive"]
Status = Literal["running", "interrupted", "complete", "inconclusive", "failed"]
Severity = Literal["high", "medium", "low", "info"]


class Record(pydantic.BaseModel):
    """Base of all records: immutable, nothing unknown, nothing that is not a finite number."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ExampleRow(Record):
    """One example: `role` is where it was used.

    `reason` says why it was left out of a role, or, if it was used all the same, why a person
    should look at it.
    """

    id: str
    role: Literal["anchor", "calibration", "input"]
    digest: str
    answer: str
    label: str | None = None
    used: bool = True
    reason: str | None = None
    preview: str | None = None
    """Path of its preview inside the run folder, with the suffix .png or .txt."""


class ScoreRow(Record):
    """One detector's judgment of one example (`role` is "calibration" or "input")."""

    id: str
    role: Literal["calibration", "input"]
    score: float
    p_value: float
    decision: Decision


class Evidence(Record):
    """An anchor near to an input: coupling in [-1, 1]; 1 is the same mechanism."""

    anchor: str
    answer: str
    coupling: float


class Verdict(Record):
    """The verdict on one input by the lead detector."""

    id: str
    answer: str
    group: int | None = None
    """Number of the coarse kind of the answer, such as its class."""
    kind: str = ""
    """That kind in words, where they are not those of the answer."""
    score: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    """Share of false flags to expect if this input and all more anomalous ones are flagged
    (Benjamini-Hochberg over all inputs)."""
    decision: Decision
    cause: str | None = None
    """Of a flag: one of those in the top record, if the detector declares any."""
    views: dict[str, float] = {}
    """The p-value of each view, by cause."""
    stratum: int | None = None
    """Where p-values are within classes: which of them judged it, 0 for all small ones together."""
    reason: str
    """One plain sentence."""
    mechanism: int | None = None
    """Number of the mechanism a flagged input belongs to; None if it stands alone."""
    evidence: tuple[Evidence, ...] = ()
    explained: dict[str, float] = {}
    """Explained fraction by part of the network, in the order of the forward pass."""
    marks: tuple[str, ...] = ()
    """Pieces of a text that the answer hangs on and that are least like trusted texts, strongest
    first."""


class Finding(Record):
    """Something a person should know. `code` is stable; `action` says what to do.

    A finding of severity "high" says that the model, its file or its answers cannot be relied on.
    """

    code: str
    severity: Severity
    title: str
    detail: str
    action: str
    where: str = ""
    """File of the artefact that it is about, by its path inside the folder; empty if none."""
    accepted: str = ""
    """Why it was accepted, by a baseline file; it then fails nothing, and stays listed."""

    @property
    def fails(self) -> bool:
        """Whether an audit with this finding ends with exit code 1 (`--fail-on finding`)."""
        return self.severity == "high" and not self.accepted


class Mechanism(Record):
    """Flagged inputs that respond alike."""

    number: int
    size: int
    answers: dict[str, int]
    """How often each kind of answer occurs among its inputs."""
    causes: dict[str, int]
    cohesion: float
    """Mean coupling between its inputs, of the parts that trusted data leaves unexplained."""
    examples: tuple[str, ...]
    """Ids of its most central inputs, first the most central."""
    explained: dict[str, float]
    """Mean explained fraction of its inputs by part of the network."""


class DetectorSummary(Record):
    """One detector over the whole run, calibrated at the run's budget."""

    name: str
    lead: bool
    flagged: int
    inputs: int
    calibration: int = 0
    """Trusted examples that its p-values rest on; 0 in folders of versions that did not say."""
    threshold: float | None = None
    evaluations: float
    """Forward passes an input, beyond the one that answers it (a backward pass counts as two)."""
    fit_seconds: float
    """With the traces that it looks at."""
    score_seconds: float
    """With the traces that it looks at."""
    tracing_seconds: float = 0.0
    """The part of both that went into those traces; detectors that look at the same share it."""
    answers: bool = False
    """Whether its traces came with the answers, which then cost nothing of their own."""
    problems: tuple[str, ...] = ()
    facts: dict[str, float] = {}


class Trusted(Record):
    """How the trusted set was used."""

    total: int
    anchors: int
    calibration: int
    misanswered: int
    dropped: int
    needed: int
    """Calibration examples that the budget needs at least."""
    explained: dict[str, float] = {}
    """Mean explained fraction of calibration examples by part of the network."""


class Provenance(Record):
    """Where the numbers come from; no user names, no absolute paths."""

    anomech: str
    python: str
    torch: str
    numpy: str
    device: str
    threads: int
    seed: int
    model: str
    """Fingerprint of the model's tensors."""
    parameters: int
    """Numbers in the model's parameters and buffers."""
    watched: int
    reference: str
    """Hash of the trusted examples' digests."""
    inputs: str
    options: str = ""
    """Hash of the options that decide findings, paths apart; empty in earlier versions."""


class CauseNote(Record):
    """What a flag may be due to, as the detector declares it."""

    name: str
    because: str
    """What follows "Flagged because"."""
    advice: str
    """What to do about such inputs."""


class FalseFlagRate(Record):
    """The share of normal inputs that is flagged: this trusted set's own, as far as it is known."""

    mean: float
    """Over trusted sets of this size; at most the budget."""
    spread: float
    """Standard deviation over them."""
    low: float
    high: float
    """Ends of the interval at 95 %."""


class Sensitivity(Record):
    """A trigger that the audit planted itself in a twin of the model, and whether it finds it."""

    trigger: str
    target: str
    """The answer that it leads to, in words."""
    success: float
    """Share of held-out trusted examples that it leads there."""
    agreement: float
    """Share of them that the twin answers without the trigger as the model does."""
    took: bool
    """Whether both are high enough; if not, nothing was judged."""
    steps: int
    """Of descent, to plant it."""
    uses: int = 0
    """Held-out examples on which the trigger works and that were judged."""
    caught: float | None = None
    """Share of the uses that is flagged; None if it took not, or could not be judged."""
    low: float | None = None
    high: float | None = None
    """Ends of the interval at 95 %, over held-out examples; other triggers are not in it."""
    false_flags: float | None = None
    """Share of the same examples that is flagged without the trigger."""
    early: tuple[float, ...] = ()
    """At each early stage of the lead, the largest p-value of a use that is flagged in the end: a
    stage that settles inputs at less would lose it."""
    seconds: float = 0.0
    """That planting, fitting and judging took."""
    why: str = ""
    """Why there is no share, in a sentence."""


class Truth(Record):
    """How detection did where the truth is known (demo and bench only)."""

    triggered: int
    true_positives: int
    false_positives: int
    auroc: dict[str, float]
    """By detector."""
    note: str


class Run(Record):
    """The top record of a run."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    title: str
    task: str
    budget: float
    control: Literal["per_input", "batch"] = "per_input"
    """What the budget bounds: the share of normal inputs that are flagged, or the expected share
    of false flags among all flags."""
    tolerated: int | None = None
    """Flags at the budget that chance gives in all but one of a thousand runs, if every input is
    normal."""
    rate: FalseFlagRate | None = None
    """How often normal inputs are flagged in truth, at the budget."""
    causes: tuple[CauseNote, ...] = ()
    """What flags may be due to, as the lead declares it."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    classes: tuple[str, ...] = ()
    provenance: Provenance | None = None
    trusted: Trusted | None = None
    detectors: tuple[DetectorSummary, ...] = ()
    mechanisms: tuple[Mechanism, ...] = ()
    compared: int | None = None
    """Flagged inputs among which mechanisms were looked for, where there were too many for all."""
    sensitivity: tuple[Sensitivity, ...] = ()
    """Triggers of the audit's own; empty if it was not asked, or could plant none."""
    truth: Truth | None = None
    message: str = ""
    """Why it is not complete, if it is not."""
    files: dict[str, str] = {}
    """SHA-256 of its files by their path in the folder, see `anomech.records.digests`."""
