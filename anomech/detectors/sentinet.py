"""SentiNet: the part of a picture that decides its answer, laid over others, leads them as well.

Belief: what is salient about an honest picture does not fool the model elsewhere, and an inert
pattern of the same extent leaves it certain; a trigger fools it, and fools it confidently.
Equation: the share of trusted pictures that the salient part leads to the own answer, plus the mean
confidence of trusted pictures under noise in the same place, minus one; the part is where Grad-CAM
of the own answer exceeds `salient` of its maximum.
Source: Chou, Tramer, Pellegrino 2020 (SentiNet). Their boundary, a curve fitted to benign points,
is left to calibration, which the sum of both coordinates is made for.
Needs: pictures as inputs, logits and activations between layers; Grad-CAM is captum's (extra
`explain`).
Cost: three forward passes, and two a trusted picture.
Fails when: a trigger spreads over the picture, or the salient map misses it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.saliency import salient
from anomech.observing.joining import passes
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Layers, Logits, Pictures, Task, able
from anomech.roles.tracer import Health


@options
class Sentinet:
    """How far the salient part of an input leads other pictures."""

    salient: float = option(0.5, "share of the largest salience that a part exceeds", gt=0, le=1)
    carriers: int = option(24, "trusted pictures that a part is laid over", unit="pictures", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, logits and layers."""
        return frozenset({Pictures, Logits, Layers})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedSentinet":
        """Draw the trusted pictures, and the noise."""
        count = min(self.carriers, len(anchors))
        rng = numpy_generator(seed, "sentinet")
        drawn = rng.choice(len(anchors), count, replace=False)
        carriers = anchors.examples.load(drawn)
        shape = able(anchors.task, Pictures).embed(carriers[:1]).shape[1:]
        noise = torch.from_numpy(rng.random(shape).astype(np.float32))
        return FittedSentinet(self, carriers, anchors.groups[torch.from_numpy(drawn)], noise)


@dataclass(frozen=True)
class FittedSentinet:
    """Trusted pictures as loaded, the kinds of their answers, and inert noise `[c, h, w]`."""

    chosen: Sentinet
    carriers: np.ndarray
    groups: Tensor
    noise: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """Salience as three, and two passes a trusted picture."""
        return 3.0 + 2 * len(self.carriers)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Share fooled plus confidence under noise, minus one."""
        found = torch.zeros(len(observed), dtype=torch.float64)
        work = passes(observed.task, observed.examples, observed.answers, "transplanting", progress)
        for places, own in work:
            batch = observed.examples.load(places)
            assert own is not None
            found[torch.from_numpy(places)] = self._judged(observed.task, batch, own)
        return Scores(found, {})

    def _judged(self, task: Task, batch: Any, own: Tensor) -> Tensor:
        maps = salient(task, batch, own)
        points = able(task, Pictures).embed(batch)
        result = []
        for picture, heat, answer in zip(points, maps, own, strict=True):
            part = heat >= self.chosen.salient * heat.max()
            result.append(self._fooled(task, picture, part, answer))
        return torch.tensor(result, dtype=torch.float64)

    @torch.no_grad()
    def _fooled(self, task: Task, picture: Tensor, part: Tensor, answer: Tensor) -> float:
        space = able(task, Pictures)
        carriers, others = space.embed(self.carriers), self.groups != task.groups(answer[None])
        answers = answer.expand(len(carriers), *answer.shape)
        laid = torch.where(part, picture, carriers)
        odds = space.respond_at({}, laid, self.carriers, answers).log_odds.cpu()
        fooled = float((odds[others] > 0).double().mean()) if bool(others.any()) else 0.0
        inert = torch.where(part, self.noise.to(picture), carriers)
        logits = space.respond_at({}, inert, self.carriers, answers).logits
        assert logits is not None, "the task gives logits"
        return fooled + float(functional.softmax(logits, dim=1).max(dim=1).values.mean()) - 1
