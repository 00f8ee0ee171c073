"""What a review leaves on disk. It is a folder; these are its files.

review.json   `Review`: status, steps, diagnosis, risk, policy
plan.yaml     the resolved plan; `anomech review --plan plan.yaml` replays the review
scan/         folder of the scan, if there was one
audit-N/      folder of the audit of round N
repair-N/     folder of the repair of round N
model-card.md section for a model card
report.html   made from the files above alone
"""

from typing import Literal

import pydantic

from anomech.records.run import Record, Status

Conclusion = Literal["clean", "repaired", "not clean", "inconclusive"]


class Step(Record):
    """One step of a review."""

    kind: Literal["scan", "audit", "repair"]
    round: int
    folder: str
    """Inside of the review's folder; its report.html tells the rest."""
    outcome: Literal["good", "bad", "open"]
    said: str
    seconds: float = 0.0


class Diagnosis(Record):
    """What one anomaly is most like, and what speaks for it and against it."""

    name: Literal["backdoor", "foreign data", "adversarial input", "plain error", "shortcut"]
    of: str
    """What was diagnosed, such as "mechanism 1"."""
    because: str
    check: str
    """What would tell it from the others."""


class Risk(Record):
    """Expected cost by equation 6 of the review of backdoor mechanisms, as a range."""

    low: float
    middle: float
    high: float
    backdoor: tuple[float, float]
    """Probability that a backdoor is there, lowest and highest."""
    parts: dict[str, tuple[float, float]] = pydantic.Field(default_factory=dict)
    """What adds up to it, lowest and highest, by name."""
    moves: dict[str, float] = pydantic.Field(default_factory=dict)
    """How far the risk moves when one quantity goes from its lowest to its highest value."""
    basis: str = ""
    """What the probabilities rest on, in a sentence."""


class PolicyCheck(Record):
    """One demand of a domain's policy."""

    demand: str
    outcome: Literal["met", "not met", "not measured"]
    said: str


class Review(Record):
    """The top record of a review."""

    schema_version: int = 1
    status: Status
    title: str
    task: str = ""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    conclusion: Conclusion | None = None
    rounds: int = 0
    steps: tuple[Step, ...] = ()
    diagnoses: tuple[Diagnosis, ...] = ()
    risk: Risk | None = None
    policy: str = ""
    """Name of the domain's policy; empty if none was asked for."""
    demands: tuple[PolicyCheck, ...] = ()
    message: str = ""
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of the review's own files by their path in the folder."""
