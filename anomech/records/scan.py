"""What the scan of a whole model leaves on disk. It is a folder; these are its files.

scan.json        `ModelScan`: status, verdict, provenance, what was asked, what each scanner said
plan.yaml        the resolved plan; `anomech scan --plan plan.yaml` replays the scan
files.jsonl      `FileRow` for every file that was looked through
scanners/X.json  `ScannerResult` of scanner X, written when it is done: a scan resumes behind it
findings.json    `Finding`s about the files, the weights and the model
previews/        recovered triggers as pictures
report.html      made from the files above alone
"""

from typing import Literal

import pydantic

from anomech.records.run import Provenance, Record, Status

ModelVerdict = Literal["finding", "no finding", "inconclusive"]
Asked = Literal["files", "weights", "triggers"]


class FileRow(Record):
    """One file of the artefact."""

    path: str
    """Inside of the folder, with slashes; of a single file its name."""
    kind: str
    """What its bytes say it is, in words."""
    size: int
    sha256: str = ""
    """Empty where it could not be read."""
    notes: tuple[str, ...] = ()
    """What a person should know of it and that is no finding."""


class Chance(Record):
    """A p-value of a model, and of what it is one."""

    value: float
    of: str
    """What would be seen with this chance, as a sentence part: "a clean network ..."."""
    weakness: str = ""
    """Why it is less than it seems, in a sentence; empty if there is nothing to say."""
    networks: int = 0
    """Clean networks that it rests on; 0 if it rests on none."""
    standings: tuple[float, ...] = ()
    """How far this model and each clean one stand out from all others, in deviations; the model
    comes first. Empty if there were too few clean ones."""


class Recovered(Record):
    """A trigger that a scanner recovered, and what became of it when it was confirmed."""

    pictures: dict[str, str] = pydantic.Field(default_factory=dict)
    """Paths of its pictures in the folder by what they show, in words."""
    success: float | None = None
    """Share of held-out trusted inputs of other answers that it leads to its target."""
    held_out: int = 0
    """Inputs that the share is of."""
    clean_success: float | None = None
    """The same on an independent clean model: a high value speaks for a natural feature."""
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    """Other numbers of its confirmation, by name."""


class Compared(Record):
    """One of the things that a scanner compared, such as a class or a layer."""

    name: str
    statistic: float
    group: int | None = None
    """Number of the answer it stands for; None if it is none."""
    trigger: Recovered | None = None


class ScannerResult(Record):
    """What one scanner said."""

    name: str
    asked: Asked
    status: Literal["done", "left out"]
    why: str = ""
    """Why it was left out."""
    unit: str = "class"
    """What it compared."""
    compared: tuple[Compared, ...] = ()
    """The most suspicious first."""
    chance: Chance | None = None
    shares: bool = False
    """Whether what it compared are shares of one whole, which no others of the model calibrate."""
    problems: tuple[str, ...] = ()
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    evaluations: float = 0.0
    """Forward passes of one example each."""
    seconds: float = 0.0
    basis: str = ""
    """Hash of all that it rests on: model, trusted examples, options and code."""


class ModelScan(Record):
    """The top record of a scan."""

    schema_version: int = 1
    status: Status
    verdict: ModelVerdict | None = None
    title: str
    task: str = ""
    level: float
    """Chance of a false finding by the scanners together, if the model is clean."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    asked: tuple[Asked, ...] = ()
    """What was looked at."""
    chance: Chance | None = None
    """Of all scanners that give one, together."""
    suspected: tuple[str, ...] = ()
    """Answers that a trigger may lead to, in words."""
    reasons: tuple[str, ...] = ()
    """Why the verdict is what it is, and what would be needed for another, as sentences."""
    provenance: Provenance | None = None
    examples: int = 0
    """Trusted examples."""
    looked_through: int = 0
    """Files."""
    bytes: int = 0
    """Of those files."""
    scanners: tuple[ScannerResult, ...] = ()
    message: str = ""
    """Why it is not complete, if it is not."""
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of the scan's own files by their path in the folder."""
