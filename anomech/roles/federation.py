"""What groupings and aggregations of federated learning give and promise.

Clients hold private data and train; a server averages what they send. A *grouping* says which
clients learn one model together, an *aggregation* how their weights become one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

Weights = Mapping[str, Tensor]
"""All parameters and buffers of a network by name."""


@dataclass(frozen=True)
class Update:
    """What a client sent last.

    Attributes:
        start: the weights it was given.
        weights: those it sent.
        images: that it says it has trained on.
    """

    start: Weights
    weights: Weights
    images: int


@dataclass(frozen=True)
class Groups:
    """Which clients learn together.

    Attributes:
        members: for each model the clients whose weights it is made of; sets may overlap. A model
            without members stays as it is.
        uses: by client the place of the model that it goes on with.
        distances: how far client `column` is from client `row`, as the grouping sees it
            `[clients, clients]`, NaN where unknown; None if it measures none.
        limit: distance below which two clients are neighbors; None if there is none.
    """

    members: tuple[frozenset[int], ...]
    uses: Mapping[int, int]
    distances: Tensor | None = None
    limit: float | None = None


class Room(Protocol):
    """What the server sees in a round, and how it asks clients.

    Attributes:
        network: the architecture; its own weights mean nothing.
        seed: of everything random.
        round: from 0.
        sizes: training images of every client.
        present: clients that take part in this round, in order.
        models: as the round began.
        uses: by client the place of its model, as the round began.
        known: by client what it sent last, this round or before.
        groups: as the round before left them; without members before the first.
        given: true groups of the clients, for an oracle; None if nobody knows them.
    """

    @property
    def network(self) -> nn.Module: ...

    @property
    def seed(self) -> int: ...

    @property
    def round(self) -> int: ...

    @property
    def sizes(self) -> Sequence[int]: ...

    @property
    def present(self) -> tuple[int, ...]: ...

    @property
    def models(self) -> tuple[Weights, ...]: ...

    @property
    def uses(self) -> Mapping[int, int]: ...

    @property
    def known(self) -> Mapping[int, Update]: ...

    @property
    def groups(self) -> Groups: ...

    @property
    def given(self) -> tuple[int, ...] | None: ...

    def ask(self, function: Callable[[Any, Any], Any], pieces: Sequence[Any]) -> list[Any]:
        """`function(anomech.federated.local.Shared, piece)` of every piece, where clients are.

        Args:
            function: at the top level of a module; what it looks at of a client stays there.
            pieces: as many as there are questions.
        """
        ...

    def count(self, *, down: int = 0, up: int = 0) -> None:
        """Note bytes that a question sends to clients and back, beyond models and updates."""
        ...


class Grouping(Protocol):
    """A way of finding who learns together: one file in `federated/groupings/`."""

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """The models that there are before anyone has trained; `first` is the usual one."""
        ...

    def assign(self, room: Room) -> Mapping[int, int]:
        """The place of the model that each present client is given before it trains."""
        ...

    def regroup(self, room: Room) -> Groups:
        """Who learns together, once the present clients have trained."""
        ...


class Aggregation(Protocol):
    """A way of making one model of what clients sent: one file in `federated/aggregations/`."""

    def combine(self, updates: Sequence[Update]) -> dict[str, Tensor]:
        """The new model of one update at least.

        Raises:
            ConfigError: too few updates for it.
        """
        ...
