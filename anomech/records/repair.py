"""What a repair leaves on disk. It is a folder; these are its files.

repair.json             `RepairRun`: status, what was tried, what was chosen, the proof
plan.yaml               the resolved plan; `anomech repair --plan plan.yaml` replays the repair
methods/X.json          `MethodResult` of method X, written when it is done: a repair resumes there
methods/X.safetensors   the tensors that X changes; `chosen` is the chosen method, repeated with
                        the examples that it was chosen on
checks/X.json           `Check` X of the proof of the chosen method
repaired.safetensors    all weights of the repaired model
findings.json           `Finding`s about the repair
report.html             made from the files above alone
"""

from typing import Any, Literal

import pydantic

from anomech.records.run import Provenance, Record, Status

Outcome = Literal["passed", "failed", "not done"]


class Share(Record):
    """A share of some examples, and how far it may be off."""

    value: float
    low: float
    """Where its exact interval at 95 % begins."""
    high: float
    count: int
    """Examples that it is of."""


class Check(Record):
    """One part of the proof of a repair."""

    name: str
    title: str
    """What was asked, as a question."""
    outcome: Outcome
    said: str
    """The answer in a sentence."""
    numbers: dict[str, float] = pydantic.Field(default_factory=dict)
    curve: tuple[tuple[float, float], ...] = ()
    """Points of a curve, if it is one."""
    pictures: dict[str, str] = pydantic.Field(default_factory=dict)
    """Paths of pictures in the folder by what they show, in words."""
    seconds: float = 0.0
    basis: str = ""
    """Hash of all that it rests on."""


class MethodResult(Record):
    """What one method did."""

    name: str
    status: Literal["done", "left out"]
    why: str = ""
    """Why it was left out."""
    merit: float | None = None
    """What methods are chosen by: half of (flagged answers lost - accuracy lost + 1), where half of
    an answer counts that a few poisoned examples bring back."""
    accuracy: Share | None = None
    """On trusted examples that chose and did not repair."""
    flagged: Share | None = None
    """Share of flagged inputs that chose and did not repair and still get their answer."""
    back: float | None = None
    """Share of them that do so again once a few flagged inputs are taught."""
    problems: tuple[str, ...] = ()
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    settled: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Options that it settled by trusted examples; made again, it has them from the start."""
    harder: dict[str, Any] = pydantic.Field(default_factory=dict)
    """Options with which it would go further than it went for the sake of accuracy."""
    evaluations: float = 0.0
    """Forward passes of one example each."""
    seconds: float = 0.0
    basis: str = ""
    """Hash of all that it rests on: model, examples, options and code."""


class RepairRun(Record):
    """The top record of a repair."""

    schema_version: int = 1
    status: Status
    title: str
    task: str = ""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    verified: bool = False
    """Whether every check was done and passed."""
    chosen: str = ""
    """The method whose weights were written."""
    target: str = ""
    """The answer that flagged inputs got most often."""
    before: dict[str, Share] = pydantic.Field(default_factory=dict)
    """Of the model as it was, on the examples that choose: "accuracy" and "flagged"."""
    methods: tuple[MethodResult, ...] = ()
    checks: tuple[Check, ...] = ()
    grade: str = ""
    """Of the accuracy that was lost: excellent, acceptable or poor."""
    counts: dict[str, int] = pydantic.Field(default_factory=dict)
    """Examples by what they were used for."""
    units: dict[str, tuple[float, ...]] = pydantic.Field(default_factory=dict)
    """Effect of each unit on flagged answers less that on trusted ones, by place, nats."""
    concentration: float | None = None
    """Part of that effect which the top hundredth of units has."""
    provenance: Provenance | None = None
    message: str = ""
    """Why it is not complete, if it is not."""
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of the repair's own files by their path in the folder."""


class RepairCard(Record):
    """One method on one attacked network, where the truth is known."""

    id: str
    subject: str
    trusted: str
    """Name of the trusted set."""
    method: str
    seed: int
    role: Literal["development", "check"]
    status: Literal["done", "failed"]
    why: str = ""
    accuracy_before: float | None = None
    accuracy: float | None = None
    success_before: float | None = None
    """Share of triggered test images that get the attacker's label."""
    success: float | None = None
    robust_before: float | None = None
    """Share of triggered test images that get their true label."""
    robust: float | None = None
    der: float | None = None
    """Defense effectiveness rating of this network."""
    seconds: float = 0.0
    evaluations: float = 0.0
    of_training: float = 0.0
    """Its forward passes as a share of those of one training."""
    relearning: tuple[tuple[float, float], ...] = ()
    """Attack success by the number of poisoned images learned again."""
    problems: tuple[str, ...] = ()
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    basis: str = ""
