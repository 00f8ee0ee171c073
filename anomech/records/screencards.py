"""What a bench of screens leaves on disk.

screens.json   `ScreenBench`: every training set and what each screen makes of it
suite.yaml     the resolved suite
cells/         one record each: `CASE.json` of a training set, `CASE--SCREEN.json` of a screen on it
screens.md     the tables
report.html    the page
"""

from typing import Literal

from anomech.records.run import Record, Status


class ScreenCase(Record):
    """A training set whose poison is known, and the network that was trained on it."""

    basis: str
    case: str
    role: Literal["development", "check"]
    examples: int
    poisoned: int
    accuracy: float
    success: float | None = None
    """Share of triggered test images that are led; None if nothing was planted."""
    accuracy_without: float | None = None
    """The same of a network trained without all poison."""
    success_without: float | None = None


class ScreenCard(Record):
    """What a screen makes of a training set."""

    basis: str
    case: str
    screen: str
    status: Literal["done", "left out", "failed"]
    why: str = ""
    auroc: float | None = None
    """Of its ranking; None on a set without poison."""
    f1: float | None = None
    """Of its suspects; None if it only ranks, or on a set without poison."""
    found: float | None = None
    """Share of the poison that it suspects; None likewise."""
    false: float | None = None
    """Share of the other examples that it suspects; None if it only ranks."""
    accuracy: float | None = None
    """Of a network trained without its suspects; None if it only ranks."""
    success: float | None = None
    seconds: float = 0.0
    evaluations: float | None = None


class ScreenBench(Record):
    """A suite of training sets and screens."""

    schema_version: int = 1
    status: Status
    message: str = ""
    name: str
    title: str
    description: str = ""
    data: str
    architecture: str
    trusted: int
    made_with: str
    """Versions and machine, for whoever compares numbers."""
    cases: tuple[ScreenCase, ...] = ()
    cards: tuple[ScreenCard, ...] = ()
