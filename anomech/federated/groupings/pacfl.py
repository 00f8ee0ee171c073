"""PACFL: clients whose images span similar directions learn together.

Belief: a few singular vectors of a client's images tell its distribution.
Equation: `U_c` holds as columns the first `vectors` left singular vectors of the images of a class
of client c; the angle between two clients is the mean of `arccos |diag(U_c' U_o)|` over the classes
that they share, and 90 degrees if they share none. Average linkage, cut at `limit`.
Source: in the manner of Vahidian et al. 2023 (principal angles between data subspaces), equation 3
by class. There the sum is taken instead of the mean, and the limit is chosen for each data set.
Needs: images of one size. Cost: `vectors` images of each class up, once.
Fails when: a group differs by what singular vectors of pixels do not show, such as labels.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from anomech.federated.groupings._usual import agglomerated, among_all, kept, measured, of_labels
from anomech.federated.local import Shared
from anomech.federated.weights import BYTES
from anomech.kernel.config import option, options
from anomech.roles.federation import Groups, Room, Weights

Subspaces = Mapping[int, np.ndarray]
"""By class the first left singular vectors `[pixels, vectors]`."""


@options
class Pacfl:
    """Angles between subspaces of images."""

    vectors: int = option(3, "singular vectors of each class", ge=1)
    limit: float = option(35.0, "mean angle at which groups are cut", unit="degrees", gt=0, le=90)

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the client's group."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """Groups of those that have taken part, of their images alone."""
        if measured(room):
            return room.groups
        clients = sorted(room.known)
        spaces: list[Any] = room.ask(subspaces, [(client, self.vectors) for client in clients])
        room.count(up=sum(BYTES * each.size for space in spaces for each in space.values()))
        angles = np.array([[angle(one, other) for other in spaces] for one in spaces])
        groups = of_labels(clients, agglomerated(angles, "average", limit=self.limit, most=0))
        return Groups(groups.members, groups.uses, among_all(room, clients, angles), self.limit)


def subspaces(shared: Shared, piece: tuple[int, int]) -> Subspaces:
    """The first singular vectors of a client's images of each class."""
    client, vectors = piece
    images, labels = shared.clients[client].train
    rows = images.reshape(len(images), -1).astype(np.float64) / 255
    found = {}
    for label in np.unique(labels):
        left, _, _ = np.linalg.svd(rows[labels == label].T, full_matrices=False)
        found[int(label)] = left[:, :vectors]
    return found


def angle(first: Subspaces, second: Subspaces) -> float:
    """Mean angle of paired singular vectors over the classes that two clients share, degrees."""
    if not (common := sorted(set(first) & set(second))):
        return 90.0
    angles = []
    for label in common:
        many = min(first[label].shape[1], second[label].shape[1])
        cosines = np.abs((first[label][:, :many] * second[label][:, :many]).sum(axis=0))
        angles.append(np.degrees(np.arccos(np.clip(cosines, 0, 1))).mean())
    return float(np.mean(angles))
