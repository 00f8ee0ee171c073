"""What `anomech check` says, as a record."""

import pydantic

from anomech.records.run import Finding, Record


class Preflight(Record):
    """What an audit of a plan would meet."""

    title: str
    budget: float
    inputs: int
    trusted: int
    """Trusted examples that are there."""
    needed: int
    """Trusted examples that the budget needs, those that are learned from included."""
    calibrating: int
    """Of those that are there, how many are left to calibrate."""
    seconds: float | None = None
    """About how long the audit will take here; None if it would give no answer."""
    inconclusive: bool
    """Whether the audit would give no verdicts."""
    facts: dict[str, str] = pydantic.Field(default_factory=dict)
    """What was seen, in words, by name."""
    findings: tuple[Finding, ...] = ()
