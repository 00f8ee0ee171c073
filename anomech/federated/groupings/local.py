"""Local: every client alone, what working together has to beat.

Belief: nobody else has anything to give.
Equation: none.
Source: folklore.
Needs: nothing. Cost: no traffic worth counting; models and updates are counted as for the others.
Fails when: a client has few images.
"""

from collections.abc import Mapping

from anomech.federated.groupings._usual import kept, of_labels
from anomech.kernel.config import options
from anomech.roles.federation import Groups, Room, Weights


@options
class Local:
    """Nobody learns together."""

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """Each its own."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """Each alone."""
        known = sorted(room.known)
        return of_labels(known, known)
