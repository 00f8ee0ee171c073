"""What a look at bias leaves on disk. It is a folder; these are its files.

bias.json    `BiasRun`: what the model does by group, and what its states tell of the group
groups.csv   every example with its group, its label and the answer
report.html  made from bias.json alone
"""

import pydantic

from anomech.records.run import Record, Status


class GroupRow(Record):
    """One group."""

    group: str
    examples: int
    accuracy: float
    low: float
    """End of Wilson's interval at 95 %."""
    high: float


class CellRow(Record):
    """Examples of one group and one label."""

    group: str
    label: str
    examples: int
    accuracy: float


class DefinitionRow(Record):
    """One definition of fairness; `gap` is None where too few examples can be compared."""

    name: str
    gap: float | None = None
    mean: float | None = None
    """Over classes."""
    worst: str = ""
    """The class of the largest gap; empty if the definition knows no classes."""
    low: str = ""
    high: str = ""


class ProbeRow(Record):
    """What a probe reads of the group at one place: balanced accuracies."""

    place: str
    told: float
    control: float
    left: float
    silhouette: float


class SalienceRow(Record):
    """How much of the salience of some examples lies outside of the object."""

    who: str
    examples: int
    outside: float
    """Share of the salience."""
    area: float
    """Share of the picture."""


class BiasRun(Record):
    """The top record."""

    schema_version: int = 1
    status: Status = "complete"
    title: str
    attribute: str
    """Name of the column of groups."""
    started: str
    seconds: float
    examples: int
    ungrouped: int
    """Examples without a group, which count nowhere."""
    accuracy: float
    groups: tuple[GroupRow, ...] = ()
    cells: tuple[CellRow, ...] = ()
    definitions: tuple[DefinitionRow, ...] = ()
    probes: tuple[ProbeRow, ...] = ()
    salience: tuple[SalienceRow, ...] = ()
    remarks: tuple[str, ...] = ()
    model: str = ""
    """Fingerprint of the model."""
    files: dict[str, str] = pydantic.Field(default_factory=dict)

    @property
    def worst(self) -> CellRow | None:
        """The group and label that are answered worst, of those with ten examples or more."""
        enough = [cell for cell in self.cells if cell.examples >= 10]
        return min(enough, key=lambda cell: cell.accuracy, default=None)
