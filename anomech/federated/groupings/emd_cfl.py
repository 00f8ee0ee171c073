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

import numpy as np

from anomech.federated.groupings._earth_movers import exchanged, pieces_of
from anomech.federated.groupings._usual import among_all, kept, measured, of_sets
from anomech.kernel.config import option, options
from anomech.roles.federation import Groups, Room, Weights


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
        pieces = pieces_of(room, self.points, self.projection)
        clients = pieces[0].others
        distances = among_all(room, clients, exchanged(room, pieces))
        members, places = of_sets(neighbors(distances.numpy(), clients, self.tolerance))
        uses = dict(zip(clients, places, strict=True))
        return Groups(members, uses, distances, self.tolerance)


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
