"""Conductance: units through which a flagged answer comes about on the way from an honest input.

Belief: of all that changes the answer between an honest picture and the flagged one, the part that
flows through a unit is that unit's share in it.
Equation: along the straight line from `x0`, the mean of trusted pictures, to the input `x`, in
`steps` equal steps, `sum_k df/dy_u(x_k) (y_u(x_k + 1) - y_u(x_k))` over positions, with the slope
at the middle of each step; `f` is the logit of the own answer less the mean of the others. Over the
units of one layer that cuts the network it adds up to `f(x) - f(x0)`. The value of a unit is the
mean over flagged inputs, less that over trusted ones of the same answers.
Source: Dhamdhere, Sundararajan, Yan 2018 (How important is a neuron?), for all layers in one pass;
tests hold it against captum.
Needs: pictures, logits, and activations that can be followed back to the inputs.
Cost: two passes forward and one backward for each step, for every input.
Fails when: the line leads through inputs that mean nothing, as it does where they are far apart.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from anomech.explainers._comparing import compared
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.joining import passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations, Logits, Pathways, Pictures, able
from anomech.roles.tracer import Health


@options
class Conductance:
    """What flows to the answer through each unit."""

    steps: int = option(16, "of the line from an honest picture to the flagged one", ge=1)
    most: int = option(64, "inputs of each kind that are looked at", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, logits, and activations that can be followed."""
        return frozenset({Pictures, Logits, Activations, Pathways})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; nothing is random.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        honest = trusted.take(np.arange(min(256, len(trusted))))
        start = able(trusted.task, Pictures).embed(honest.examples.load(np.arange(len(honest))))
        start = start.mean(dim=0)
        ours, theirs = (
            self._mean(each.take(np.arange(min(self.most, len(each)))), start, progress)
            for each in (both.flagged, both.trusted)
        )
        units = {place: ours[place] - theirs[place] for place in ours}
        facts = {f"most of a unit at {place}": float(each.max()) for place, each in units.items()}
        return Explanation(units, None, Health(both.problems), facts)

    def _mean(self, some: ObservedExamples, start: Tensor, progress: Progress) -> dict[str, Tensor]:
        """Mean conductance of every unit over inputs, by place."""
        sums: dict[str, Tensor] = {}
        work = passes(some.task, some.examples, some.answers, "following to answers", progress)
        for places, own in work:
            assert own is not None
            for name, each in conducted(some, places, own, start, self.steps).items():
                found = each.double().sum(dim=0).cpu()
                sums[name] = sums[name] + found if name in sums else found
        return {name: each / len(some) for name, each in sums.items()}


def conducted(
    some: ObservedExamples, places: np.ndarray, own: Tensor, start: Tensor, steps: int
) -> dict[str, Tensor]:
    """Conductance of every unit `[batch, units]` by place.

    Args:
        some: inputs.
        places: of a batch of them.
        own: answers, indices of logits `[batch]`.
        start: where lines begin, pixels `[c, h, w]`.
        steps: of each line.
    """
    batch = some.examples.load(places)
    space, network = able(some.task, Pictures), able(some.task, Pathways)
    names = list(able(some.task, Activations).points())
    ends = space.embed(batch).detach()
    found: dict[str, Tensor] = {}
    for step in range(steps):
        at = [start + (ends - start) * (step + part) / steps for part in (0.0, 0.5, 1.0)]
        seen = [dict[str, Tensor](), dict[str, Tensor](), dict[str, Tensor]()]
        with torch.enable_grad():
            goals = []
            for points, kept in zip(at, seen, strict=True):
                changes = {name: _keeper(kept, name) for name in names}
                given = points.detach().requires_grad_()
                logits = network.respond_through({}, given, batch, changes, own).logits
                assert logits is not None, "the task gives logits"
                goals.append(margin(logits, own).sum())
            middle = seen[1]
            slopes = torch.autograd.grad(goals[1], list(middle.values()), allow_unused=True)
        for name, slope in zip(middle, slopes, strict=True):
            moved = (seen[2][name] - seen[0][name]).detach()
            flow = per_unit(torch.zeros_like(moved) if slope is None else slope * moved)
            found[name] = found[name] + flow if name in found else flow
    return found


def margin(logits: Tensor, own: Tensor) -> Tensor:
    """The own answer's logit less the mean of the others `[batch]`."""
    chosen = logits.gather(1, own[:, None].to(logits.device))[:, 0]
    return chosen - (logits.sum(dim=1) - chosen) / (logits.shape[1] - 1)


def per_unit(flow: Tensor) -> Tensor:
    """Sums over positions `[batch, units]`: units are the second axis of maps, or the last."""
    if flow.ndim == 4:
        return flow.sum(dim=(2, 3))
    return flow.flatten(1, -2).sum(dim=1) if flow.ndim > 2 else flow


def _keeper(kept: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    def keep(activation: Tensor) -> Tensor:
        kept[name] = activation
        return activation

    return keep
