"""Oracle: groups that someone knows, the mark to reach.

Belief: the groups that are given are the right ones.
Equation: none.
Source: folklore.
Needs: true groups, of a world or of `groups.csv` beside the clients. Cost: that of FedAvg.
Fails when: groups that differ in name would gain by working together.
"""

from collections.abc import Mapping

from anomech.federated.groupings._usual import kept, of_labels
from anomech.kernel.config import options
from anomech.kernel.errors import ConfigError
from anomech.roles.federation import Groups, Room, Weights


@options
class Oracle:
    """The true groups learn together; malicious clients stay in theirs."""

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with.

        Raises:
            ConfigError: nobody knows the groups.
        """
        if room.given is None:
            raise ConfigError(
                "the oracle needs true groups; put groups.csv with the columns client and group "
                "beside the clients, or leave the oracle out."
            )
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the client's group."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """Clients of one true group."""
        assert room.given is not None, "begin has asked for it"
        known = sorted(room.known)
        return of_labels(known, [room.given[client] for client in known])
