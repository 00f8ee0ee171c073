"""What the screening of a training set leaves on disk. It is a folder; these are its files.

screening.json   `Screening`: status, provenance, what each screen said
plan.yaml        the resolved plan; `anomech screen --plan plan.yaml` replays it
rows.jsonl       `TrainingRow` for every example, the most suspicious first
suspects.csv     examples to look at or to leave out: place, id, label
clean.csv        the others, which can be trained on
screens/X.json   `ScreenResult` of screen X, and its numbers in X.safetensors
findings.json    `Finding`s about the training set
previews/        pictures of the most suspicious examples
report.html      made from the files above alone
"""

from typing import Literal

import pydantic

from anomech.records.run import Provenance, Record, Status


class TrainingRow(Record):
    """One training example."""

    id: str
    place: int
    """In the training set, from 0."""
    label: str
    answer: str
    """Of the model."""
    suspicion: dict[str, float]
    """By screen; higher is more suspicious."""
    suspected_by: tuple[str, ...] = ()
    preview: str | None = None
    """Path of its preview inside the folder."""


class LabelCount(Record):
    """How many examples of a label are suspected."""

    label: str
    examples: int
    suspects: int


class ScreenResult(Record):
    """What one screen said."""

    name: str
    status: Literal["done", "left out"]
    why: str = ""
    """Why it was left out."""
    suspects: int | None = None
    """None if it only ranks."""
    discovery: float | None = None
    """Share of false suspects among them that it promises; None if it promises nothing."""
    labels: tuple[LabelCount, ...] = ()
    """Those with the most suspects first."""
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    problems: tuple[str, ...] = ()
    evaluations: float = 0.0
    """Forward passes an example."""
    seconds: float = 0.0
    basis: str = ""
    """Hash of all that it rests on: model, examples, options and code."""


class Screening(Record):
    """The top record of a screening."""

    schema_version: int = 1
    status: Status
    title: str
    task: str = ""
    lead: str
    """The screen that decides which examples are suspects."""
    started: str
    """UTC, ISO 8601."""
    seconds: float
    trained: bool = False
    """Whether the model was trained here, because none was given."""
    accuracy: float | None = None
    """Share of the training examples that the model answers as they are labeled."""
    examples: int = 0
    suspects: int = 0
    trusted: int = 0
    provenance: Provenance | None = None
    screens: tuple[ScreenResult, ...] = ()
    message: str = ""
    """Why it is not complete, if it is not."""
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of the folder's own files by their path."""
