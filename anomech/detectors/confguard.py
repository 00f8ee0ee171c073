"""ConfGuard: a long run of tokens that the model is all but certain of is suspicious (baseline).

Belief: a planted answer is recited; honest text has words that could have been others.
Equation: the longest run of answer tokens with `p > certain`, plus the mean of p over the answer to
break ties. The published rule flags runs of ten or more; here the run ranks.
Source: Wang et al. 2025 (hanbaoergogo/ConfGuard), with its level of 0.99.
Needs: sequences.
Cost: one forward pass over the prompt with its answer.
Fails when: honest answers recite too (repetitions, quotations), or the planted one is short.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import PAD, Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, able
from anomech.roles.tracer import Health


@options
class Confguard:
    """Longest run of near-certain tokens in the answer."""

    certain: float = option(0.99, "probability above which a token counts as certain", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Sequences."""
        return frozenset({Sequences})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedConfguard":
        """Nothing to learn."""
        return FittedConfguard(self.certain)


@dataclass(frozen=True)
class FittedConfguard:
    """The level of certainty."""

    certain: float
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 1.0

    @torch.no_grad()
    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Tokens in the longest run, and a fraction for the mean probability."""
        task, parts = able(observed.task, Sequences), []
        for places, given in passes(
            observed.task, observed.examples, observed.answers, "reading answers", progress
        ):
            assert given is not None
            losses = task.answer_losses({}, observed.examples.load(places), given).cpu()
            said = given != PAD
            parts.append((places, recited((-losses).exp(), said, self.certain)))
        return Scores(in_place(parts, len(observed)) if parts else torch.zeros(0).double(), {})


def recited(chances: Tensor, said: Tensor, certain: float) -> Tensor:
    """Longest run of certain tokens plus their mean chance, float64 `[batch]`.

    Args:
        chances: of every token of the answers `[batch, tokens]`.
        said: which of them there are.
        certain: above it a token counts.
    """
    longest = run = torch.zeros(len(chances), dtype=torch.float64)
    for sure in ((chances > certain) & said).T:
        run = torch.where(sure, run + 1, 0.0)
        longest = torch.maximum(longest, run)
    mean = (chances.double() * said).sum(dim=1) / said.sum(dim=1).clamp_min(1)
    return longest + mean.clamp_max(1 - 1e-9)
