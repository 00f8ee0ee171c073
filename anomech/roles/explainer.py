"""What an explainer gives and promises: where a flagged mechanism sits, and what it looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability
from anomech.roles.tracer import Health


class View(NamedTuple):
    """Inputs as points of a plane.

    Attributes:
        words: what the plane is, such as "principal directions at layer3".
        flagged: `[flagged, 2]`.
        trusted: `[trusted, 2]`, of those that flagged inputs are compared with.
    """

    words: str
    flagged: Tensor
    trusted: Tensor


class Painted(NamedTuple):
    """A point of the space of inputs that an explainer made.

    Attributes:
        words: what it is for.
        points: without a batch axis, such as pixels `[c, h, w]`.
    """

    words: str
    points: Tensor


@dataclass(frozen=True)
class Explanation:
    """Where a mechanism sits, and what it looks like.

    Attributes:
        units: how much each unit carries it `[units]`, by place in the network; higher is more.
        maps: how much each part of each input carries it, `[examples, ...]` in the form of the
            input's points; None if it does not look at inputs.
        health: whether it can be trusted.
        facts: numbers behind it.
        views: inputs as points of planes.
        painted: inputs that it made.
    """

    units: Mapping[str, Tensor]
    maps: Tensor | None = None
    health: Health = Health()
    facts: Mapping[str, float] | None = None
    views: tuple[View, ...] = ()
    painted: tuple[Painted, ...] = ()


class Explainer(Protocol):
    """A way of explaining: one file in `explainers/`. Its options are its fields."""

    @property
    def needs(self) -> frozenset[Ability]: ...

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """What flagged inputs have in common that trusted ones with the same answers lack."""
        ...
