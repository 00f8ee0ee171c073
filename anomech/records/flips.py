"""What a bench of flipped scores leaves on disk.

flips.json    `FlipRun`: every trainer, detector and foreign set, under no attack and under three
suite.yaml    the resolved suite
cells/        rows of one trained network each, kept as they are done
flips.md      the tables
report.html   the page
"""

from anomech.records.run import SCHEMA_VERSION, Record, Status

COLUMNS = ("clean", "normal moved", "foreign moved", "both moved")
"""What an attacker moves."""


class FlipRow(Record):
    """One detector on one network and one foreign set."""

    trainer: str
    detector: str
    foreign: str
    near: bool
    seed: int
    transferred: bool = False
    """Whether images were moved against the confidence, as this score leads to no pixels."""
    auroc: tuple[float, float, float, float]
    fpr95: tuple[float, float, float, float]
    """Share of foreign images below the score that 95 % of normal ones lie below."""


class NetworkRow(Record):
    """One trained network."""

    trainer: str
    seed: int
    accuracy: float
    robust: float | None = None
    seconds: float
    problems: tuple[str, ...] = ()


class FlipCell(Record):
    """All rows of one trained network."""

    basis: str
    network: NetworkRow
    rows: tuple[FlipRow, ...]


class FlipRun(Record):
    """The top record."""

    schema_version: int = SCHEMA_VERSION
    status: Status
    message: str = ""
    name: str
    title: str
    description: str = ""
    data: str
    outliers: str
    architecture: str
    eps: float
    """How far images are moved, gray levels of 255."""
    steps: int
    normal: int
    foreign: int
    networks: tuple[NetworkRow, ...] = ()
    rows: tuple[FlipRow, ...] = ()
