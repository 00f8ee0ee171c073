"""What the explanation of flagged inputs leaves on disk. It is a folder; these are its files.

explanation.json  `ExplainedRun`: whom it is about, what each explainer said
maps/             pictures of flagged inputs, and of what of them each explainer points at
report.html       made from the files above alone
"""

import pydantic

from anomech.records.run import Record, Status


class UnitRow(Record):
    """A unit that carries the mechanism."""

    place: str
    unit: int
    rank: float
    """Mean place among all units over the explainers, in [0, 1]; 1 is first by all of them."""
    values: dict[str, float] = pydantic.Field(default_factory=dict)
    """What each explainer says of it."""


class Plane(Record):
    """Inputs as points of a plane."""

    words: str
    flagged: tuple[tuple[float, float], ...]
    trusted: tuple[tuple[float, float], ...]


class PaintedInput(Record):
    """An input that an explainer made."""

    words: str
    preview: str


class ExplainerResult(Record):
    """What one explainer said."""

    name: str
    why: str = ""
    """Why it was left out; empty if it was not."""
    units: int = 0
    """Units that it ranks."""
    concentration: float | None = None
    """Part of all that is positive in the top hundredth of units; None if it ranks none."""
    places: dict[str, float] = pydantic.Field(default_factory=dict)
    """Part of it in each layer, in the order of the network."""
    maps: tuple[str, ...] = ()
    """Paths of pictures of its maps, in the order of the shown inputs."""
    planes: tuple[Plane, ...] = ()
    painted: tuple[PaintedInput, ...] = ()
    facts: dict[str, float] = pydantic.Field(default_factory=dict)
    problems: tuple[str, ...] = ()
    seconds: float = 0.0


class ShownInput(Record):
    """A flagged input whose maps are shown."""

    id: str
    answer: str
    preview: str


class ExplainedRun(Record):
    """The top record of an explanation."""

    schema_version: int = 1
    status: Status = "complete"
    title: str
    about: str
    """Whom it is about, in words: a mechanism, an input, or all flags."""
    inputs: int
    answers: dict[str, int] = pydantic.Field(default_factory=dict)
    started: str
    """UTC, ISO 8601."""
    seconds: float
    shown: tuple[ShownInput, ...] = ()
    explainers: tuple[ExplainerResult, ...] = ()
    top: tuple[UnitRow, ...] = ()
    files: dict[str, str] = pydantic.Field(default_factory=dict)
    """SHA-256 of the folder's own files by their path."""
