"""What a repair keeps beside trusted labels: everything the model says but for flagged answers.

Few trusted examples hold a model in place at few points. What it was able to do is also in what it
answers to inputs nobody has labels for, mixtures of those at hand among them. Mixtures of trusted
examples hold nothing of a mechanism. Where these are so few that they hardly show the answers,
flagged inputs are mixed in, less the answers that they were flagged with: they hold on to what the
mechanism does to the other answers too, and a poisoned example brings it back sooner.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Overlay
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Logits, Task, Variations, able

COUNT = 32
"""Mixtures in a step."""

FAINTEST = 0.3
"""Share of a mixture that shows either input at the least."""

SHOWN = 2
"""Trusted examples an answer, below which flagged inputs are mixed in, and beyond which mixtures
weigh less: as much as so many examples."""

STRUCK = -1e4
"""Stands for the logit of an answer that is not compared; finite, so that no gradient is NaN."""


@dataclass(frozen=True)
class Kept:
    """Distances from what the model said about mixtures of inputs.

    Attributes:
        task: the model as it was.
        pools: inputs that are mixed, each with those of any pool: trusted and flagged ones.
        struck: by pool, examples whose own answer is not to be kept, bool `[examples]`.
        weight: of the distance, in (0, 1]: the more examples have labels, the less is left to it.
    """

    task: Task
    pools: tuple[ObservedExamples, ...]
    struck: tuple[Tensor, ...]
    weight: float

    def apart(self, overlay: Overlay, seed: int) -> Tensor:
        """Weighted mean `KL(before, now)` over fresh mixtures, of all but struck answers; nats.

        Args:
            overlay: weights that the model has now; the result is differentiable in them.
            seed: of the mixtures.
        """
        rng = numpy_generator(seed, "mixtures")
        kinds = rng.integers(0, len(self.pools), 2)
        places = [rng.integers(0, len(self.pools[kind]), COUNT) for kind in kinds]
        one, other = (
            self.pools[kind].examples.load(some) for kind, some in zip(kinds, places, strict=True)
        )
        share = float(rng.uniform(FAINTEST, 1 - FAINTEST))
        batch = able(self.task, Variations).mixed(one, other, share)
        with torch.no_grad():
            before = self.task.respond({}, batch).logits
        now = self.task.respond(overlay, batch).logits
        assert before is not None, "the task gives logits"
        assert now is not None, "the task gives logits"
        out = torch.zeros_like(before, dtype=torch.bool)
        for kind, some in zip(kinds, places, strict=True):
            index = torch.from_numpy(some)
            answers, goes = self.pools[kind].answers[index], self.struck[kind][index]
            out[torch.arange(COUNT), answers.to(out.device)] |= goes.to(out.device)
        return self.weight * divergence(before, now, out)


def kept(
    task: Task, trusted: ObservedExamples, flagged: ObservedExamples, members: Tensor
) -> Kept | None:
    """What a repair keeps of a model; None if the task has no logits or cannot mix inputs.

    Args:
        task: the model.
        trusted: examples.
        flagged: inputs.
        members: those whose flagged answer goes, bool `[flagged]`.
    """
    if not {Logits, Variations} <= task.provides:
        return None
    enough = SHOWN * able(task, Logits).classes
    nothing = torch.zeros(len(trusted), dtype=torch.bool)
    if len(trusted) >= enough:
        return Kept(task, (trusted,), (nothing,), enough / len(trusted))
    return Kept(task, (trusted, flagged), (nothing, members), 1.0)


def divergence(before: Tensor, now: Tensor, out: Tensor) -> Tensor:
    """Mean `KL` from one distribution of answers to another, a scalar, nats.

    Args:
        before: logits `[batch, classes]`.
        now: logits `[batch, classes]`.
        out: answers that do not count `[batch, classes]`; the others are a distribution.
    """
    one, other = (
        logits.float().masked_fill(out, STRUCK).log_softmax(dim=1) for logits in (before, now)
    )
    return (one.exp() * (one - other)).masked_fill(out, 0).sum(dim=1).mean()
