"""What a bench of whole models leaves on disk: a folder with these files.

suite.yaml                      the resolved suite; running it again replays the bench
models.json                     `ModelBench`: the top record with every table
networks/NAME/network.json      `NetworkCard`: what a network is and how well it works
networks/NAME/SCANNER.json      `ModelCard`: what one scanner says of it
leaderboard.md, leaderboard.html
"""

from typing import Literal

import pydantic

from anomech.records.run import Record
from anomech.records.scorecards import Role

CLEAN = "clean"


class NetworkCard(Record):
    """One network of a bench, and what is planted in it."""

    name: str
    subject: str
    kind: str
    """What is planted, coarsely, such as "dirty label"; "clean" if nothing is."""
    role: Role
    seed: int
    target: int | None = None
    """The class that the trigger leads to; None if there is none, or more than one."""
    accuracy: float = 0.0
    success: float | None = None
    """Share of triggered test images that get the attacker's label."""
    epoch_seconds: float = 0.0
    """Processor time of one epoch of its training."""
    status: Literal["done", "failed"] = "done"
    reason: str = ""
    basis: str = ""
    """Hash of all that determines it."""


class ModelCard(Record):
    """What one scanner says of one network."""

    network: str
    scanner: str
    status: Literal["done", "failed", "left out"]
    reason: str = ""
    groups: tuple[int, ...] = ()
    """What was compared, such as classes."""
    statistic: tuple[float, ...] = ()
    whole: bool = False
    """Whether the network was judged as one thing, and not class by class."""
    usual: float = 0.0
    """Deviation among classes of clean networks, as a share of their mean; 0 if unknown."""
    problems: tuple[str, ...] = ()
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    evaluations: float = 0.0
    seconds: float = 0.0
    """Processor time."""
    basis: str = ""
    """Hash of all that it rests on."""

    @property
    def largest(self) -> float:
        """The most suspicious statistic."""
        return max(self.statistic)

    @property
    def top(self) -> int | None:
        """The most suspicious class; None if there are no classes in it."""
        return None if self.whole else self.groups[self.statistic.index(self.largest)]


class ScannerStanding(Record):
    """How one scanner did over the networks of one role.

    Attributes:
        scanner: its name; "combined" for all of them together.
        role: of the networks.
        attacked: how many of them have something planted.
        clean: how many have not.
        auroc: of the statistic, attacked over clean.
        brier: mean squared error of the probability of an attack, by a logistic curve that was
            fitted to the development networks.
        false_findings: share of clean networks that are flagged at the level.
        findings: share of attacked networks that are flagged, by kind; "all" is all of them.
        target_right: share of networks with one target whose most suspicious class it is.
        epochs: processor time over that of one epoch of the network's training, median.
    """

    scanner: str
    role: Role
    attacked: int
    clean: int
    auroc: float | None = None
    brier: float | None = None
    false_findings: float | None = None
    findings: dict[str, float] = pydantic.Field(default_factory=dict)
    target_right: float | None = None
    epochs: float | None = None


class ModelBench(Record):
    """The top record."""

    schema_version: int = 1
    suite: str
    title: str
    description: str = ""
    level: float
    status: Literal["complete", "interrupted"]
    versions: dict[str, str] = pydantic.Field(default_factory=dict)
    hardware: str = ""
    networks: tuple[NetworkCard, ...] = ()
    standings: tuple[ScannerStanding, ...] = ()
    chances: dict[str, dict[str, float]] = pydantic.Field(default_factory=dict)
    """p-values by network and scanner."""
    failed: int = 0
