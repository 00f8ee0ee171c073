"""What a world gives and promises: models with something planted, and inputs whose truth is known.

A bench never looks inside of one. Images and texts differ here alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from anomech.audit.load.loading import Loaded
from anomech.kernel.types import Progress
from anomech.records.scorecards import TruthRow

if TYPE_CHECKING:  # cells are made of networks, and worlds are asked about cells
    from anomech.bench.cells import Cell
    from anomech.bench.specs import ConditionSpec, NetworkSpec, SubjectSpec, Suite

NONE = -1
"""In place of a label where there is none."""


class Network(Protocol):
    """Everything that determines one model, but for the data.

    Attributes:
        attacks: names of what is planted, with options; none is a clean twin.
        seed: of the weights, the attacks and the order.
        label: of its architecture, in words.
        methods: the objects whose code determines it.
    """

    @property
    def attacks(self) -> tuple[tuple[str, Mapping[str, Any]], ...]: ...

    @property
    def seed(self) -> int: ...

    @property
    def label(self) -> str: ...

    @property
    def methods(self) -> tuple[Any, ...]: ...

    def described(self) -> dict[str, Any]:
        """All that determines it, as plain values: `attacks`, `network` and `recipe`."""
        ...


@dataclass(frozen=True)
class Staged:
    """A case made ready.

    Attributes:
        loaded: the model, trusted examples and inputs.
        truth: of the inputs, once the model's answers (groups, int64 `[n]`) to them are known.
        task: options of the task, for the plan.
        plain_seconds: what plain inference over the inputs takes.
    """

    loaded: Loaded
    truth: Callable[[np.ndarray], list[TruthRow]]
    task: Mapping[str, Any]
    plain_seconds: float


class World(Protocol):
    """Models and inputs of one part of a suite.

    Attributes:
        content: hash of the data, of the versions and of the bench's own code.
    """

    @property
    def content(self) -> str: ...

    def train(self, cell: "Cell", zoo: Path, progress: Progress) -> None:
        """See that the network of a cell is in the zoo.

        Raises:
            AnomechError: it cannot be used; the message says why.
        """
        ...

    def stage(self, cell: "Cell", zoo: Path, progress: Progress) -> Staged:
        """A cell's model and inputs.

        Raises:
            AnomechError: they cannot be made.
        """
        ...


class WorldKind(Protocol):
    """What a suite may say of worlds of one kind, and how one is opened."""

    def subject(self, suite: "Suite", name: str, spec: "SubjectSpec") -> "SubjectSpec":
        """The subject with all options of what is planted in it.

        Raises:
            ConfigError: it names what there is not, or says what has no meaning here.
        """
        ...

    def condition(self, name: str, spec: "ConditionSpec") -> "ConditionSpec":
        """The condition with all options of its methods.

        Raises:
            ConfigError: as for subjects.
        """
        ...

    def network(
        self, suite: "Suite", made_with: "NetworkSpec", spec: "SubjectSpec", seed: int
    ) -> Network:
        """The network of a subject."""
        ...

    def moved(self, under: "ConditionSpec") -> tuple[Any, ...]:
        """The methods of a condition, whose code determines a cell as well."""
        ...

    def open(self, suite: "Suite", data: Path | None) -> World:
        """The world of a part of a suite; its data is read.

        Raises:
            DataError: data is missing or too small.
            ConfigError: the suite names what there is not.
        """
        ...
