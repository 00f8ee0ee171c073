"""Shared change: what flagged pictures have in common against the trusted ones most like them.

Belief: a trigger is the same in all of its pictures, and what they show besides is not.
Equation: each flagged picture less the trusted picture that is nearest in pixels, of any answer;
the map is the absolute mean of these differences by their standard error, over channels the
largest. It is the same for all flagged inputs.
Source: own; a paired t-statistic.
Needs: pictures as inputs.
Cost: none beyond reading the pictures.
Fails when: triggers differ from picture to picture, or a warp moves content instead of adding any.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Pictures, able
from anomech.roles.tracer import Health

FEWEST = 5
"""Flagged pictures below which a standard error says little."""


@options
class SharedChange:
    """Where flagged pictures differ alike from trusted ones."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures."""
        return frozenset({Pictures})

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
            DataError: there are no flagged or no trusted pictures.
        """
        if not len(flagged) or not len(trusted):
            raise DataError("there is nothing to compare: give flagged and trusted pictures.")
        ours, theirs = (_pictures(each, progress) for each in (flagged, trusted))
        nearest = torch.cdist(ours.flatten(1), theirs.flatten(1)).argmin(dim=1)
        change = (ours - theirs[nearest]).double()
        error = change.std(dim=0) / len(change) ** 0.5 if len(change) > 1 else change[0].abs() + 1
        map_ = (change.mean(dim=0).abs() / (error + 1e-2)).amax(dim=0)
        few = len(ours) < FEWEST
        problems = (f"{len(ours)} flagged pictures are few to see what they share.",) if few else ()
        top = float(map_.max())
        maps = (map_ / max(top, 1e-12)).float().expand(len(ours), *map_.shape).contiguous()
        return Explanation({}, maps, Health(problems), {"largest shared change, in errors": top})


def _pictures(some: ObservedExamples, progress: Progress) -> Tensor:
    parts, task = list[tuple[np.ndarray, Tensor]](), able(some.task, Pictures)
    for places, _ in passes(some.task, some.examples, some.answers, "looking", progress):
        parts.append((places, task.embed(some.examples.load(places))))
    return in_place(parts, len(some))
