"""WeightWatch: states along what fine-tuning added to the weights are suspicious (baseline).

Belief: what a model was taught last lies in the leading directions of the change of its weights,
and only inputs that use it bring the residual stream to point along them.
Equation: for each changed matrix `dW` that writes to the residual stream, the first `vectors` left
singular vectors `u`; at every token the cosine of the stream after that block with each. The score
is how far the largest goes beyond the largest of the anchors, or the smallest below the smallest,
the larger of the two over all vectors. Published, an input is flagged from 0.01 on.
Source: Zhong, Raghunathan 2026 (WeightWatch, fjzzq2002/WeightWatch), with their 20 vectors.
Needs: sequences, activations, and the model that this one was made of or an adapter.
Cost: one forward pass; to fit, a singular value decomposition of every changed matrix.
Fails when: much else was taught too, or the behavior was there before.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import PAD, Progress
from anomech.observing.activations import activations
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Ancestry, Task, able
from anomech.roles.tracer import Health


@options
class WeightWatch:
    """States along the leading directions of the change of the weights."""

    vectors: int = option(20, "singular vectors of each matrix", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Sequences, activations and the model that it was made of."""
        return frozenset({Sequences, Activations, Ancestry})

    def fit(
        self, anchors: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedWeightWatch":
        """The directions, and how far the anchors go along them.

        Raises:
            CapabilityError: no matrix that writes to the residual stream was changed.
        """
        task = anchors.task
        streams = able(task, Sequences).streams
        places = anchors.examples.load(torch.arange(min(1, len(anchors))).numpy())
        first = activations(task, places, streams[:1], anchors.answers[:1])[streams[0]]
        directions: dict[str, list[Tensor]] = {}
        for block, change in able(task, Ancestry).changes():
            if change.shape[0] == first.shape[-1]:
                found = leading(change, self.vectors)
                directions.setdefault(streams[min(block + 1, len(streams) - 1)], []).append(found)
        if not directions:
            raise CapabilityError(
                "weight_watch found no changed matrix that writes to the residual stream; is the "
                "base that was given the model itself?"
            )
        joined = {name: torch.cat(each) for name, each in directions.items()}
        low, high = extremes(anchors, joined, progress)
        usual = torch.stack([low.min(dim=0).values, high.max(dim=0).values])
        return FittedWeightWatch(joined, usual)


@dataclass(frozen=True)
class FittedWeightWatch:
    """Unit directions `[vectors, d]` by stream, and the anchors' extremes `[2, all vectors]`."""

    directions: Mapping[str, Tensor]
    usual: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 1.0

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The largest excess of a cosine over the anchors' range."""
        low, high = extremes(observed, self.directions, progress)
        excess = torch.maximum(high - self.usual[1], self.usual[0] - low)
        return Scores(excess.max(dim=1).values.double(), {})


def leading(change: Tensor, count: int) -> Tensor:
    """The first left singular vectors of a matrix `[outputs, inputs]`, `[vectors, outputs]`."""
    left, sizes, _ = torch.linalg.svd(change.float(), full_matrices=False)
    kept = sizes[:count] > 1e-6 * sizes[0].clamp_min(1e-30)
    return left[:, :count][:, kept].T.contiguous()


def extremes(
    observed: ObservedExamples, directions: Mapping[str, Tensor], progress: Progress
) -> tuple[Tensor, Tensor]:
    """Smallest and largest cosine over the tokens of each example, `[examples, vectors]` each."""
    task, parts = observed.task, []
    for places, given in passes(
        task, observed.examples, observed.answers, "reading states", progress
    ):
        assert given is not None
        rows = _of_pass(task, observed.examples.load(places), given, directions)
        parts.append((places, rows))
    width = sum(map(len, directions.values()))
    both = in_place(parts, len(observed)) if parts else torch.zeros(0, 2, width)
    return both[:, 0], both[:, 1]


def _of_pass(
    task: Task, batch: object, answers: Tensor, directions: Mapping[str, Tensor]
) -> Tensor:
    states = activations(task, batch, list(directions), answers)
    held = able(task, Sequences).layout(batch, answers).tokens != PAD
    low, high = [], []
    for name, vectors in directions.items():
        cosine = (
            functional.normalize(states[name].float(), dim=2) @ vectors.to(states[name]).T.float()
        )
        low.append(cosine.masked_fill(~held[:, :, None], 1.0).min(dim=1).values)
        high.append(cosine.masked_fill(~held[:, :, None], -1.0).max(dim=1).values)
    return torch.stack([torch.cat(low, dim=1), torch.cat(high, dim=1)], dim=1).cpu()
