"""IFCA: each client takes the one of several models that answers its images best.

Belief: models that begin apart come to serve different groups.
Equation: client c takes `argmin_j L_c(w_j)` of `clusters` models; a model is the mean of those that
took it. Models begin with weights of their own.
Source: Ghosh, Chung, Yin, Ramchandran 2020, algorithm 1 (averaging of models).
Needs: the number of groups. Cost: all models down to each client, in every round.
Fails when: one model wins everyone at the start, or the number is wrong.
"""

import copy
from collections.abc import Mapping

import numpy as np

from anomech.federated.local import Answering, loss
from anomech.federated.weights import size
from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.learning.training import initialize
from anomech.roles.federation import Groups, Room, Weights


@options
class Ifca:
    """The model of the lowest loss."""

    clusters: int = option(4, "models", ge=1)

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """As many models with weights of their own."""
        models = [first]
        for number in range(1, self.clusters):
            network = copy.deepcopy(room.network)
            initialize(network, key(room.seed, "ifca", number))
            models.append({name: each.detach() for name, each in network.state_dict().items()})
        return tuple(models)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the lowest loss on each client's images."""
        pieces = [Answering(client, model) for client in room.present for model in room.models]
        losses = room.ask(loss, pieces)
        many = len(room.models)
        # One of them goes down anyway, to be trained.
        room.count(down=len(room.present) * (many - 1) * size(room.models[0]))
        rows = np.array(losses).reshape(len(room.present), many)
        return dict(zip(room.present, rows.argmin(axis=1).tolist(), strict=True))

    def regroup(self, room: Room) -> Groups:
        """Those that took the same model; one that nobody took stays as it is."""
        members = tuple(
            frozenset(client for client, used in room.uses.items() if used == place)
            for place in range(len(room.models))
        )
        return Groups(members, dict(room.uses))
