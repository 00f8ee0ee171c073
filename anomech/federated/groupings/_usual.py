"""What most groupings do alike."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from anomech.roles.federation import Groups, Room


def kept(room: Room) -> dict[int, int]:
    """Present clients go on with the model they have; those that come first take the first."""
    return {client: room.uses.get(client, 0) for client in room.present}


def measured(room: Room) -> bool:
    """Whether the groups are of all that are known, so that one-shot groupings let them stand."""
    return bool(room.groups.members) and set(room.groups.uses) == set(room.known)


def among_all(room: Room, clients: Sequence[int], between: np.ndarray) -> torch.Tensor:
    """Distances of some clients `[some, some]` among all `[clients, clients]`, NaN elsewhere."""
    distances = torch.full((len(room.sizes),) * 2, torch.nan, dtype=torch.float64)
    places = torch.tensor(clients)
    distances[places[:, None], places] = torch.from_numpy(between)
    return distances


def of_sets(sets: Sequence[frozenset[int]]) -> tuple[tuple[frozenset[int], ...], list[int]]:
    """The different sets in order of first appearance, and the place of each among them."""
    different = tuple(dict.fromkeys(sets))
    return different, [different.index(each) for each in sets]


def of_labels(clients: Sequence[int], labels: Sequence[int]) -> Groups:
    """Groups of clients that have the same label."""
    members: Mapping[int, frozenset[int]] = {
        label: frozenset(c for c, own in zip(clients, labels, strict=True) if own == label)
        for label in labels
    }
    different, places = of_sets([members[label] for label in labels])
    return Groups(different, dict(zip(clients, places, strict=True)))


def agglomerated(
    distances: np.ndarray, method: str, *, limit: float | None, most: int
) -> list[int]:
    """Labels of an agglomerative clustering.

    Args:
        distances: symmetric `[clients, clients]`.
        method: of linkage, such as "average".
        limit: height at which the tree is cut; None cuts it into `most` groups.
        most: groups, if there is no limit.
    """
    if len(distances) < 2:
        return [0] * len(distances)
    tree = linkage(squareform(distances, checks=False), method)
    cut = (most, "maxclust") if limit is None else (limit, "distance")
    return [int(label) for label in fcluster(tree, cut[0], criterion=cut[1])]
