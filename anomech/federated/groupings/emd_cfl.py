"""EMD-CFL: clients whose images look alike to each other's networks learn together.

Belief: two clients belong together if the network of each maps the other's images to where its own
images of the same kind go; the Earth Mover's distance says how far off they are.
Equation: with `g_c` the network of client c without its last layer, `E` the Earth Mover's distance
of at most `points` embeddings a side under the cosine ground cost, after a random projection,
`tau_c = E(g_c(train_c), g_c(validation_c))` and
`D[c, o] = E(g_c(train_c), g_c(validation_o)) - tau_c`. Clients are neighbors if both `D[c, o]` and
`D[o, c]` lie below the tolerance. Clients with the same set of neighbors share one model, the mean
of all in the set; different sets may overlap.
Source: Zhang, Williams, Toni 2025 (arXiv 2506.07769), algorithm 1. As in the authors' code the
self-distance is taken under a projection that keeps all dimensions, and each distance under a
subsample and a projection of its own. Deviations: a client is always its own neighbor, as it could
be left with none; networks embed in evaluation mode. The tolerance is the paper's; the authors'
configuration has 0.1, which on small networks puts everyone together.
Needs: POT (`pip install 'anomech[ot]'`), and a network that ends in a linear layer.
Cost: each client's network goes to every other once: `clients^2` models and as many transport
problems, in the first round (and whenever newcomers take part). Later rounds cost what FedAvg does.
Fails when: a client is malicious in what it sends and not in what its images look like: nothing
here asks about an update, and a network that was blown up maps all images alike, so that it looks
near to everyone. Nor is it seen when labels differ and images do not.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from anomech.federated.groupings._usual import kept, measured, of_sets
from anomech.federated.local import Shared, embedded, with_weights
from anomech.federated.weights import BYTES, size
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.federation import Groups, Room, Weights

DECIMALS = 4
"""Distances are rounded, as published."""


@options
class EmdCfl:
    """Mutual neighbors by the Earth Mover's distance of embeddings."""

    tolerance: float = option(0.025, "distance beyond its own that a neighbor may have", gt=0)
    points: int = option(512, "embeddings a side at the most", unit="images", ge=2)
    projection: float = option(0.9, "share of the dimensions that a projection keeps", gt=0, le=1)

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the client's neighbors."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """Neighbors among all that have ever taken part; measured when there are new ones."""
        if measured(room):
            return room.groups
        clients = tuple(sorted(room.known))
        total = len(room.sizes)
        pieces = [Measuring(c, clients, room.known[c].weights, room.round, self) for c in clients]
        rows = room.ask(distances_of, pieces)
        one = next(iter(room.known.values()))
        room.count(
            down=len(clients) * (len(clients) - 1) * size(one.weights),
            up=sum(row.sent for row in rows),
        )
        distances = np.full((total, total), np.nan)
        for client, row in zip(clients, rows, strict=True):
            distances[client, list(clients)] = row.distances
        sets = neighbors(distances, clients, self.tolerance)
        members, places = of_sets(sets)
        uses = dict(zip(clients, places, strict=True))
        return Groups(members, uses, torch.from_numpy(distances), self.tolerance)


class Measuring(NamedTuple):
    """A piece for `distances_of`: a client, all others, its network, the round and the options."""

    client: int
    others: tuple[int, ...]
    weights: Weights
    round: int
    how: EmdCfl


class Measured(NamedTuple):
    """Distances from one client `[others]`, and bytes of embeddings that were sent for them."""

    distances: np.ndarray
    sent: int


def distances_of(shared: Shared, piece: Measuring) -> Measured:
    """How far every client is from one, by the network of that one."""
    how, client = piece.how, piece.client
    network = with_weights(shared.network, piece.weights)
    own = embedded(network, shared.clients[client].train[0])

    others = {o: embedded(network, shared.clients[o].validation[0]) for o in piece.others}

    def distance(other: int, keep: float, purpose: str) -> float:
        rng = numpy_generator(shared.seed, "emd", purpose, piece.round, client, other)
        sides = some(own, how.points, rng), some(others[other], how.points, rng)
        return earth_movers(*projected(*sides, keep, rng))

    level = distance(client, 1.0, "self")
    found = [round(distance(o, how.projection, "cross") - level, DECIMALS) for o in piece.others]
    sent = sum(min(how.points, len(each)) for each in others.values())
    return Measured(np.array(found), BYTES * own.shape[1] * sent)


def projected(
    first: np.ndarray, second: np.ndarray, keep: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of embeddings under one random projection whose rows have length one.

    Args:
        first: `[n, features]`.
        second: `[m, features]`.
        keep: share of the dimensions.
        rng: draws the projection.
    """
    features = first.shape[1]
    matrix = rng.standard_normal((features, max(1, int(keep * features)))) / np.sqrt(features)
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    return first @ matrix, second @ matrix


def some(rows: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """At most so many rows, drawn without replacement."""
    return rows if len(rows) <= most else rows[np.sort(rng.permutation(len(rows))[:most])]


def earth_movers(first: np.ndarray, second: np.ndarray) -> float:
    """The exact Earth Mover's distance of two sets under the cosine cost, in [0, 2].

    Args:
        first: `[n, features]`, each of mass `1 / n`.
        second: `[m, features]`, each of mass `1 / m`.

    Raises:
        ConfigError: POT is not installed.
    """
    try:
        import ot
    except ImportError:
        raise ConfigError(
            "the Earth Mover's distance is computed with POT; run pip install 'anomech[ot]', or "
            "choose another --method."
        ) from None
    cost = 1 - _unit(first) @ _unit(second).T
    masses = (np.full(len(each), 1 / len(each)) for each in (first, second))
    return float(ot.emd2(*masses, cost))


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows of length one; one of zeros, such as of a network that is dead there, stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def neighbors(
    distances: np.ndarray, clients: tuple[int, ...], tolerance: float
) -> list[frozenset[int]]:
    """For each client those near it both ways, itself among them.

    Args:
        distances: from row to column `[all clients, all clients]`.
        clients: those that are known.
        tolerance: below which a client is near.
    """
    near = distances < tolerance
    mutual = near & near.T
    return [frozenset(o for o in clients if o == c or bool(mutual[c, o])) for c in clients]
