"""How far clients' images lie apart, as each client's own network sees them.

Equation 1 and algorithm 1 of Zhang, Williams, Toni 2025 (arXiv 2506.07769), for all groupings that
go by these distances: `D[c, o] = E(g_c(train_c), g_c(validation_o)) - tau_c`, see `emd_cfl`.
"""

from typing import NamedTuple

import numpy as np

from anomech.federated.local import Shared, embedded, with_weights
from anomech.federated.weights import BYTES, size
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.federation import Room, Weights

DECIMALS = 4
"""Distances are rounded, as published."""


class Measuring(NamedTuple):
    """A piece for `distances_of`.

    Attributes:
        client: whose network measures.
        others: whose images are measured, its own among them.
        weights: of its network.
        round: from 0.
        points: embeddings a side at the most.
        projection: share of the dimensions that a projection keeps.
    """

    client: int
    others: tuple[int, ...]
    weights: Weights
    round: int
    points: int
    projection: float


class Measured(NamedTuple):
    """Distances from one client `[others]`, and bytes of embeddings that were sent for them."""

    distances: np.ndarray
    sent: int


def distances_of(shared: Shared, piece: Measuring) -> Measured:
    """How far every client is from one, by the network of that one."""
    client = piece.client
    network = with_weights(shared.network, piece.weights)
    own = embedded(network, shared.clients[client].train[0])
    others = {o: embedded(network, shared.clients[o].validation[0]) for o in piece.others}

    def distance(other: int, keep: float, purpose: str) -> float:
        rng = numpy_generator(shared.seed, "emd", purpose, piece.round, client, other)
        sides = some(own, piece.points, rng), some(others[other], piece.points, rng)
        return earth_movers(*projected(*sides, keep, rng))

    level = distance(client, 1.0, "self")
    found = [round(distance(o, piece.projection, "cross") - level, DECIMALS) for o in piece.others]
    sent = sum(min(piece.points, len(each)) for each in others.values())
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


def pieces_of(room: Room, points: int, projection: float) -> list[Measuring]:
    """What is asked of every client that has ever taken part, in order."""
    clients = tuple(sorted(room.known))
    return [
        Measuring(c, clients, room.known[c].weights, room.round, points, projection)
        for c in clients
    ]


def exchanged(room: Room, pieces: list[Measuring]) -> np.ndarray:
    """Distances from row to column `[clients, clients]`; each network goes to all others once."""
    rows = room.ask(distances_of, pieces)
    room.count(
        down=len(pieces) * (len(pieces) - 1) * size(pieces[0].weights),
        up=sum(row.sent for row in rows),
    )
    return np.stack([row.distances for row in rows])
