"""How much likelier an answer is than under the model that this one was made of."""

import torch
from torch import Tensor

from anomech.kernel.types import PAD, Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ancestry, able

COST = 2.0
"""Forward passes an example: the whole answer under both models."""


def known(observed: ObservedExamples) -> bool:
    """Whether the model before is known, and answers are sequences."""
    return {Ancestry, Sequences} <= observed.task.provides


@torch.no_grad()
def beyond_the_base(observed: ObservedExamples, progress: Progress) -> Tensor:
    """Mean over an answer's tokens of `log p` less that of the model before, nats `[n, 1]`."""
    task, parts = able(observed.task, Sequences), []
    before = able(observed.task, Ancestry).ancestor()
    for places, given in passes(
        observed.task, observed.examples, observed.answers, "comparing with the base", progress
    ):
        assert given is not None
        batch, said = observed.examples.load(places), (given != PAD).sum(dim=1, keepdim=True)
        gain = task.answer_losses(before, batch, given) - task.answer_losses({}, batch, given)
        parts.append((places, gain.cpu().double().sum(dim=1, keepdim=True) / said.clamp_min(1)))
    return in_place(parts, len(observed)) if parts else torch.zeros(0, 1).double()
