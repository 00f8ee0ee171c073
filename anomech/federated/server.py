"""The server: rounds of training, grouping and averaging."""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from anomech.federated.clients import Federation
from anomech.federated.local import Shared, Training, train
from anomech.federated.weights import size
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Engine, Progress
from anomech.roles.federation import Aggregation, Grouping, Groups, Update, Weights


@options
class Rounds:
    """How often and with whom the server trains."""

    count: int = option(10, "rounds", unit="rounds", ge=1)
    present: int = option(0, "clients drawn for each round; 0 means all", ge=0)


@dataclass(frozen=True)
class Traffic:
    """Bytes sent to clients and back.

    Attributes:
        down: models that clients were given.
        up: what they sent.
        asked_down: of `down`, what grouping needed beyond models to train.
        asked_up: of `up`, what it needed beyond updates.
    """

    down: int = 0
    up: int = 0
    asked_down: int = 0
    asked_up: int = 0

    def more(self, down: int = 0, up: int = 0, *, asked: bool = False) -> "Traffic":
        """With so many bytes more."""
        extra = (down, up) if asked else (0, 0)
        return Traffic(
            self.down + down, self.up + up, self.asked_down + extra[0], self.asked_up + extra[1]
        )


@dataclass(frozen=True, eq=False)
class State:
    """All that a round leaves to the next.

    Attributes:
        round: rounds that are over.
        models: of the groups.
        groups: who they are.
        known: what each client sent last.
        own: what each client sent after its first round: what it can do alone.
        traffic: so far.
        seconds: so far; `grouping` is the part that finding groups took.
        grouping: see `seconds`.
    """

    round: int
    models: tuple[Weights, ...]
    groups: Groups
    known: Mapping[int, Update] = field(default_factory=dict)
    own: Mapping[int, Weights] = field(default_factory=dict)
    traffic: Traffic = Traffic()
    seconds: float = 0.0
    grouping: float = 0.0


@dataclass(eq=False)
class Session:
    """One round in the making: `anomech.roles.federation.Room`."""

    shared: Shared
    engine: Engine
    state: State
    present: tuple[int, ...]
    given: tuple[int, ...] | None
    models: tuple[Weights, ...]
    uses: Mapping[int, int]
    known: dict[int, Update]
    traffic: Traffic

    @property
    def network(self) -> nn.Module:
        """The architecture."""
        return self.shared.network

    @property
    def seed(self) -> int:
        """Of everything random."""
        return self.shared.seed

    @property
    def round(self) -> int:
        """From 0."""
        return self.state.round

    @property
    def groups(self) -> Groups:
        """As the round before left them."""
        return self.state.groups

    @property
    def sizes(self) -> Sequence[int]:
        """Training images of every client."""
        return [len(client.train[1]) for client in self.shared.clients]

    def ask(self, function: Callable[[Any, Any], Any], pieces: Sequence[Any]) -> list[Any]:
        """See `anomech.roles.federation.Room`."""
        return asked(self.engine, function, self.shared, pieces)

    def count(self, *, down: int = 0, up: int = 0) -> None:
        """See `anomech.roles.federation.Room`."""
        self.traffic = self.traffic.more(down, up, asked=True)


def asked(
    engine: Engine, function: Callable[[Any, Any], Any], shared: Shared, pieces: Sequence[Any]
) -> list[Any]:
    """Answers of clients, in order; workers end with it."""
    results = engine.map(function, shared, pieces)
    with closing(results) if isinstance(results, Generator) else nullcontext():
        return list(results)


def run_rounds(
    federation: Federation,
    shared: Shared,
    grouping: Grouping,
    aggregation: Aggregation,
    rounds: Rounds,
    engine: Engine,
    *,
    begun: State | None,
    progress: Progress,
) -> Iterator[State]:
    """The state after each round, from where it was left.

    Args:
        federation: whose groups an oracle may see.
        shared: network, clients and their training.
        grouping: who learns together.
        aggregation: how updates become a model.
        rounds: how many.
        engine: where clients train.
        begun: state of an interrupted run; None begins anew.
        progress: told about rounds.

    Raises:
        ConfigError: more clients asked for a round than there are.
    """
    if rounds.present > len(federation.clients):
        raise ConfigError(
            f"{rounds.present} clients are asked for each round, but there are "
            f"{len(federation.clients)}; lower rounds.present."
        )
    first = {name: each.detach().clone() for name, each in shared.network.state_dict().items()}
    state = begun
    while state is None or state.round < rounds.count:
        clock = time.monotonic()
        session = _session(federation, shared, engine, state, rounds)
        if state is None:
            session.models = grouping.begin(first, session)
        state = _round(session, grouping, aggregation, clock)
        progress("rounds", state.round, rounds.count)
        yield state


def _session(
    federation: Federation, shared: Shared, engine: Engine, state: State | None, rounds: Rounds
) -> Session:
    state = state or State(0, (), Groups((), {}))
    count = len(federation.clients)
    drawn = numpy_generator(shared.seed, "present", state.round).permutation(count)
    present = tuple(sorted(int(each) for each in drawn[: rounds.present or count]))
    return Session(
        shared,
        engine,
        state,
        present,
        federation.groups,
        state.models,
        state.groups.uses,
        dict(state.known),
        state.traffic,
    )


def _round(session: Session, grouping: Grouping, aggregation: Aggregation, clock: float) -> State:
    """Assign, train, regroup, combine."""
    state, present = session.state, session.present
    started = time.monotonic()
    session.uses = {**session.uses, **grouping.assign(session)}
    spent = time.monotonic() - started
    starts = {client: session.models[session.uses[client]] for client in present}
    sent = session.ask(train, [Training(c, session.round, starts[c]) for c in present])
    for client, weights in zip(present, sent, strict=True):
        images = len(session.shared.clients[client].train[1])
        session.known[client] = Update(starts[client], weights, images)
    session.traffic = session.traffic.more(
        sum(size(each) for each in starts.values()), sum(size(each) for each in sent)
    )
    started = time.monotonic()
    groups = grouping.regroup(session)
    spent += time.monotonic() - started
    return State(
        state.round + 1,
        _combined(session, groups, aggregation),
        groups,
        dict(session.known),
        {**{c: session.known[c].weights for c in present}, **state.own},
        session.traffic,
        state.seconds + time.monotonic() - clock,
        state.grouping + spent,
    )


def _combined(session: Session, groups: Groups, aggregation: Aggregation) -> tuple[Weights, ...]:
    """The models of the groups: of those who have just trained, else of what was sent last."""
    models: list[Weights] = []
    for place, members in enumerate(groups.members):
        trained = sorted(members & set(session.present)) or sorted(members & set(session.known))
        if not trained:
            models.append(session.models[place])
            continue
        models.append(aggregation.combine([session.known[client] for client in trained]))
    return tuple(models)
