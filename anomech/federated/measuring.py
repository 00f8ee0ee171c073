"""How clients fared: accuracies, agreement with true groups, and what an attacker reached.

Only here are true groups and malicious clients looked at, once a method is done.
"""

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import adjusted_rand_score

from anomech.federated.clients import Federation
from anomech.federated.local import Answering, Shared, accuracy, with_weights
from anomech.federated.plan import Method
from anomech.federated.server import State, asked
from anomech.kernel import plugins
from anomech.kernel.types import Engine
from anomech.learning.training import predict
from anomech.records.federation import ClientRow, MethodResult
from anomech.roles.attack import DataAttack
from anomech.roles.federation import Weights


def measured(
    name: str,
    method: Method,
    federation: Federation,
    shared: Shared,
    state: State,
    trigger: DataAttack | None,
    engine: Engine,
) -> MethodResult:
    """The result of a method that is done.

    Args:
        name: of the method in the report.
        method: its grouping and aggregation.
        federation: with the truth.
        shared: network and clients.
        state: after the last round.
        trigger: of the malicious clients, if there are any.
        engine: where clients answer.
    """
    rows = _rows(federation, shared, state, trigger, engine)
    honest = [row for row in rows if not row.malicious]
    groups, distances = state.groups, state.groups.distances
    successes = [row.success for row in honest if row.success is not None]
    return MethodResult(
        name=name,
        grouping=plugins.name_of("grouping", method.grouping),
        aggregation=plugins.name_of("aggregation", method.aggregation),
        models=len({row.model for row in rows}),
        members=tuple(tuple(sorted(each)) for each in groups.members),
        rand_index=_rand_index(federation, rows),
        mean=float(np.mean([row.after for row in honest])),
        worst=min(row.after for row in honest),
        mean_before=float(np.mean([row.before for row in honest])),
        success=float(np.mean(successes)) if successes else None,
        shared=_shared(federation, state) if any(federation.malicious) else None,
        down=state.traffic.down,
        up=state.traffic.up,
        grouping_down=state.traffic.asked_down,
        grouping_up=state.traffic.asked_up,
        seconds=state.seconds,
        grouping_seconds=state.grouping,
        distances=() if distances is None else _finite(distances.tolist()),
        limit=groups.limit,
        clients=tuple(rows),
    )


def _rows(
    federation: Federation,
    shared: Shared,
    state: State,
    trigger: DataAttack | None,
    engine: Engine,
) -> list[ClientRow]:
    places = [state.groups.uses.get(client, 0) for client in range(len(federation.clients))]
    ends = [state.models[place] for place in places]
    # A client that never took part has nothing of its own; it is told what it would be given.
    first = [state.own.get(client, ends[client]) for client in range(len(ends))]
    pieces = [Answering(c, each) for which in (first, ends) for c, each in enumerate(which)]
    rates = asked(engine, accuracy, shared, pieces)
    rows = []
    for number, client in enumerate(federation.clients):
        success = None if trigger is None else _success(shared, number, ends[number], trigger)
        rows.append(
            ClientRow(
                name=client.name,
                images=len(client.train[1]),
                group=str(federation.groups[number]) if federation.groups else "",
                malicious=client.malice is not None,
                model=places[number],
                before=rates[number],
                after=rates[number + len(ends)],
                success=success,
            )
        )
    return rows


def _success(shared: Shared, number: int, weights: Weights, trigger: DataAttack) -> float | None:
    """Share of a client's triggered test images that get the attacker's label."""
    images, labels = shared.clients[number].test
    classes = 1 + int(max(labels.max(), trigger.goal.target))
    tested = trigger.goal.tested_on(labels, classes)
    if not tested.any():
        return None
    answers = predict(with_weights(shared.network, weights), trigger.stamp(images[tested]))
    return float((answers == trigger.goal.labels(labels[tested], classes)).mean())


def _rand_index(federation: Federation, rows: Sequence[ClientRow]) -> float | None:
    """Adjusted Rand index over honest clients; None where true groups are unknown."""
    if federation.groups is None:
        return None
    honest = [row for row in rows if not row.malicious]
    return float(adjusted_rand_score([row.group for row in honest], [row.model for row in honest]))


def _shared(federation: Federation, state: State) -> int:
    """Malicious clients among the members of a model that an honest client ends with."""
    malicious = {c for c, bad in enumerate(federation.malicious) if bad}
    used = {place for client, place in state.groups.uses.items() if client not in malicious}
    together = set().union(*(state.groups.members[place] for place in used))
    return len(malicious & together)


def _finite(rows: list[list[float]]) -> tuple[tuple[float | None, ...], ...]:
    return tuple(tuple(float(each) if np.isfinite(each) else None for each in row) for row in rows)
