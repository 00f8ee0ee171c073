"""CFL: a group splits when its updates cancel out while each is still long.

Belief: where the mean update vanishes and single ones do not, clients pull apart.
Equation: with updates `d_c` of a group, it splits if `|mean d| < stationary * max |d_c|` and it has
two clients at least; into two by complete linkage of `1 - cos(d_c, d_o)`, and only if the largest
cosine across is below `across`.
Source: Sattler, Mueller, Samek 2020, algorithm 4. The published bounds on the lengths, 0.4 and 1.6,
are of one network; here the mean is compared with the longest.
Needs: updates. Cost: none beyond FedAvg, but a split a round at the most for each group.
Fails when: groups share most of what they learn, so that updates never cancel out.
"""

from collections.abc import Mapping

import numpy as np
import torch

from anomech.federated.groupings._usual import agglomerated, kept
from anomech.federated.weights import difference, flat
from anomech.kernel.config import option, options
from anomech.roles.federation import Groups, Room, Weights


@options
class Cfl:
    """Groups that split by the cosine of updates."""

    stationary: float = option(
        0.7, "share of the longest update below which the mean counts as none", gt=0, le=1
    )
    across: float = option(0.9, "largest cosine between two halves of a split", ge=-1, le=1)
    after: int = option(1, "rounds before anything splits", unit="rounds", ge=0)

    def begin(self, first: Weights, room: Room) -> tuple[Weights, ...]:
        """One model, which all begin with."""
        return (first,)

    def assign(self, room: Room) -> Mapping[int, int]:
        """The model of the client's group."""
        return kept(room)

    def regroup(self, room: Room) -> Groups:
        """The groups as they were, each in two if it pulls apart."""
        groups = [
            [client for client in sorted(room.known) if room.uses.get(client, 0) == place]
            for place in range(len(room.models))
        ]
        # A client that is here for the first time is with the first group.
        split = [half for group in groups if group for half in self._halves(room, group)]
        uses = {client: place for place, group in enumerate(split) for client in group}
        return Groups(tuple(frozenset(group) for group in split), uses)

    def _halves(self, room: Room, group: list[int]) -> list[list[int]]:
        if room.round < self.after or len(group) < 2:
            return [group]
        rows = torch.stack([flat(difference(room.known[client])) for client in group])
        longest = float(rows.norm(dim=1).max())
        if float(rows.mean(dim=0).norm()) >= self.stationary * longest:
            return [group]
        units = torch.nn.functional.normalize(rows, dim=1)
        cosines = (units @ units.T).numpy()
        labels = np.array(agglomerated(1 - cosines, "complete", limit=None, most=2))
        if len(set(labels)) < 2 or cosines[labels == 1][:, labels == 2].max() > self.across:
            return [group]
        return [
            [client for client, own in zip(group, labels, strict=True) if own == label]
            for label in (1, 2)
        ]
