"""FedAvg: one model for all.

Belief: clients differ little.
Equation: none; everyone is in one group.
Source: McMahan et al. 2017.
Needs: nothing. Cost: a model down and an update up for each client and round.
Fails when: clients contradict each other, or one of them is malicious.
"""

from collections.abc import Mapping

from anomech.federated.groupings._usual import kept
from anomech.kernel.config import options
from anomech.roles.federation import Groups, Room, Weights


@options
class Fedavg:
    """Everyone learns together."""

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """That model."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """All that have taken part."""
        return Groups((frozenset(room.known),), dict.fromkeys(room.known, 0))
