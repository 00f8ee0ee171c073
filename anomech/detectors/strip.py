"""STRIP: an answer that stays the same however much is blended into the input is suspicious.

Belief: a trigger is so strong that it shows through any other image laid over it, whereas honest
content is drowned and leaves the model undecided.
Equation: minus the mean over `n` trusted images of the entropy of the answer to an equal blend.
Source: Gao, Xu, Wang, Chen, Ranasinghe, Nepal 2019 (STRIP); blending pixels, not normalized tensors
as some public code does, whose images leave the range that the model knows.
Needs: logits and inputs that can be blended; only probabilities are looked at.
Cost: one forward pass for each trusted image blended in.
Fails when: a trigger is tied to its source class or to the input, or is a warp that blends destroy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from anomech.detectors._entropy import entropy
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.observing.varied import varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits, Variations, able
from anomech.roles.tracer import Health


@options
class Strip:
    """Low entropy of the answers to blends with trusted images."""

    blends: int = option(32, "trusted images laid over each input", unit="images", ge=1)
    share: float = option(0.5, "of the trusted image in a blend", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Logits, and blends of inputs."""
        return frozenset({Logits, Variations})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedStrip":
        """Draw the images to blend in."""
        count = min(self.blends, len(anchors))
        drawn = numpy_generator(seed, "strip").choice(len(anchors), count, replace=False)
        return FittedStrip(self, anchors.examples.load(drawn))


@dataclass(frozen=True)
class FittedStrip:
    """The images to blend in, as the task loads them `[blends, ...]`."""

    chosen: Strip
    others: np.ndarray
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One pass for each blend."""
        return float(len(self.others))

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the mean entropy, nats."""
        task, total = able(observed.task, Variations), torch.zeros(len(observed)).double()
        for other in self.others:

            def blended(batch: np.ndarray, other: np.ndarray = other) -> np.ndarray:
                return task.mixed(batch, np.broadcast_to(other, batch.shape), self.chosen.share)

            total += varied(observed, blended, entropy, stage="blending", progress=progress)
        return Scores(-total / len(self.others), {})
