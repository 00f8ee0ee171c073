"""EMD linkage: distances of EMD-CFL, and groups as far as the noise of these distances allows.

Belief: how far two clients may lie apart and still belong together depends on how few images their
distance was measured with, which every client can tell from its own.
Equation: `D` as in `emd_cfl`. A client halves its own held-out images at random, `splits` times:
`E(g(train), first half) - E(g(train), second half)` under one projection has four times the
variance that the choice of images gives a distance from all of them, and a half's distance under
two projections differs by twice the variance that these give; `v` is the sum of both variances,
a mean over splits and clients. Clusters A and B of an average linkage of `(D + D') / 2` are one
group if their mean distance is at most `deviations` times its deviation under no difference, whose
square is `v / 4 (1 / |A| + 1 / |B| + 2 / (|A| |B|))`.
Source: own; the distances are those of Zhang, Williams, Toni 2025 (arXiv 2506.07769).
Needs: POT (`pip install 'anomech[ot]'`), and a network that ends in a linear layer.
Cost: that of `emd_cfl`, and `3 splits` more transport problems a client.
Fails when: as `emd_cfl` does; and groups that differ by less than the noise are one.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import squareform

from anomech.federated.groupings._earth_movers import (
    Measuring,
    earth_movers,
    exchanged,
    pieces_of,
    projected,
    some,
)
from anomech.federated.groupings._usual import among_all, kept, measured, of_labels
from anomech.federated.local import Shared, embedded, with_weights
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.roles.federation import Groups, Room, Weights


@options
class EmdLinkage:
    """Average linkage of Earth Mover's distances, cut where their noise ends."""

    deviations: float = option(3.0, "of a mean distance that noise may explain", gt=0)
    splits: int = option(8, "halvings of a client's images that tell the noise", ge=1)
    points: int = option(512, "embeddings a side at the most", unit="images", ge=2)
    projection: float = option(0.9, "share of the dimensions that a projection keeps", gt=0, le=1)

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the client's group."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """Groups of all that have ever taken part; measured when there are new ones."""
        if measured(room):
            return room.groups
        pieces = pieces_of(room, self.points, self.projection)
        clients = pieces[0].others
        between = exchanged(room, pieces)
        noise = room.ask(variance_of, [Halving(piece, self.splits) for piece in pieces])
        groups = of_labels(clients, grouped(between, mean_variance(noise), self.deviations))
        return Groups(groups.members, groups.uses, among_all(room, clients, between))


class Halving(NamedTuple):
    """A piece for `variance_of`: what was measured, and how often images are halved."""

    measuring: Measuring
    splits: int


def variance_of(shared: Shared, piece: Halving) -> float:
    """Variance of a distance to fresh images of a client's own kind, as many as it holds out.

    It is NaN if a client holds out too few to halve.
    """
    client, how = piece.measuring.client, piece.measuring
    network = with_weights(shared.network, piece.measuring.weights)
    own = embedded(network, shared.clients[client].train[0])
    held = embedded(network, shared.clients[client].validation[0])
    half = len(held) // 2
    if not half:
        return math.nan
    found = []
    for split in range(piece.splits):
        at = ("emd", "halves", piece.measuring.round, client, split)
        rng = numpy_generator(shared.seed, *at)
        order, mine = rng.permutation(len(held)), some(own, how.points, rng)
        halves = held[order[:half]], held[order[half : 2 * half]]
        first, second, turned = (
            earth_movers(
                *projected(mine, rows, how.projection, numpy_generator(shared.seed, *at, drawn))
            )
            for rows, drawn in ((halves[0], 0), (halves[1], 0), (halves[0], 1))
        )
        found.append((first - second) ** 2 / 4 + (first - turned) ** 2 / 2)
    return float(np.mean(found))


def mean_variance(found: Sequence[float]) -> float:
    """The mean over clients that could tell.

    Raises:
        DataError: none could.
    """
    known = [each for each in found if not math.isnan(each)]
    if not known:
        raise DataError(
            "emd_linkage reads the noise of distances off each client's own held-out images, and "
            "no client holds out two; give clients more images, or take --method emd_cfl, which "
            "has a tolerance."
        )
    return float(np.mean(known))


def grouped(distances: np.ndarray, variance: float, deviations: float) -> list[int]:
    """Labels of the groups that noise cannot explain.

    Args:
        distances: from row to column `[clients, clients]`.
        variance: of one of them, among clients that belong together.
        deviations: of a mean distance that noise may explain.
    """
    count = len(distances)
    if count < 2:
        return [0] * count
    mean = (distances + distances.T) / 2  # below zero by chance, which means must keep
    np.fill_diagonal(mean, 0)
    members: list[list[int]] = [[client] for client in range(count)]
    whole = [True] * count
    for left, right, height, _ in linkage(squareform(mean, checks=False), "average"):
        first, second = int(left), int(right)
        a, b = len(members[first]), len(members[second])
        spread = np.sqrt(variance / 4 * (1 / a + 1 / b + 2 / (a * b)))
        members.append(members[first] + members[second])
        whole.append(whole[first] and whole[second] and height <= deviations * spread)
    labels = [0] * count
    for place, group in enumerate(members):  # later clusters are larger, so the last one stays
        if whole[place]:
            for client in group:
                labels[client] = place
    return labels
