"""NEO: a box whose blanking changes the answer, and which leads other pictures, is suspicious.

Belief: without its trigger a picture is answered honestly, and the trigger, moved to others, leads
them as well; an honest part does the first at times, and hardly ever the second.
Equation: over random boxes filled with the picture's commonest color, of those that change the
answer, the largest share of trusted pictures that the content of the box leads to the own answer
when it is laid over them at its place; 0 if no box changes it.
Source: Udeshi, Peng, Woo, Loh, Rawshan, Chattopadhyay 2022 (NEO). Boxes are of several sizes,
because nobody knows the trigger's.
Needs: pictures as inputs; only labels are looked at.
Cost: one forward pass a box, and one a trusted picture for boxes that change the answer, the three
of them that lower the own log-odds most.
Fails when: a trigger is larger than the boxes, is none (warps, blends), or lies under no box.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.data.addressed import image_generator
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.patches import commonest
from anomech.observing.joining import passes
from anomech.roles.black_box import Painting, Pixels
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Task, able
from anomech.roles.tracer import Health

TRIED = 3
"""Boxes of a picture that are laid over others."""


@options
class Neo:
    """How many trusted pictures the best box of an input leads to its answer."""

    boxes: int = option(60, "random boxes blanked in each picture", unit="boxes", ge=1)
    sizes: tuple[float, ...] = option((0.12, 0.2, 0.3), "of boxes, shares of the picture's sides")
    carriers: int = option(24, "trusted pictures that a box is laid over", unit="pictures", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, and others of its own making."""
        return frozenset({Pixels, Painting})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedNeo":
        """Draw the trusted pictures."""
        count = min(self.carriers, len(anchors))
        drawn = numpy_generator(seed, "neo").choice(len(anchors), count, replace=False)
        groups = anchors.groups[torch.from_numpy(drawn)]
        return FittedNeo(self, seed, anchors.examples.load(drawn), groups)


@dataclass(frozen=True)
class FittedNeo:
    """Trusted pictures as the task loads them `[carriers, ...]`, and the kinds of their answers."""

    chosen: Neo
    seed: int
    carriers: np.ndarray
    groups: Tensor
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One pass a box, and one a trusted picture for the boxes tried on them."""
        return float(self.chosen.boxes + TRIED * len(self.carriers))

    @torch.no_grad()
    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The largest share of trusted pictures that a box leads to the own answer."""
        found = torch.zeros(len(observed), dtype=torch.float64)
        work = passes(observed.task, observed.examples, observed.answers, "blanking", progress)
        for places, own in work:
            batch = observed.examples.load(places)
            assert own is not None
            found[torch.from_numpy(places)] = self._judged(observed.task, batch, own)
        return Scores(found, {})

    def _judged(self, task: Task, batch: Any, own: Tensor) -> Tensor:
        space = able(task, Painting)
        points, carriers = space.embed(batch), space.embed(self.carriers)
        boxes = torch.stack([self._boxes(each) for each in points])
        fill = torch.stack([commonest(each) for each in points])[:, :, None, None]
        odds = torch.stack(
            [
                task.respond(
                    {}, space.realize(torch.where(inside, fill, points), batch), own
                ).log_odds
                for inside in boxes.unbind(dim=1)
            ]
        )
        worst = odds.sort(dim=0, stable=True)
        result = torch.zeros(len(points), dtype=torch.float64)
        for place, picture in enumerate(points):
            # Of an own answer that no longer takes half of the probability another took its place.
            for number in worst.indices[:TRIED, place][worst.values[:TRIED, place] < 0]:
                laid = torch.where(boxes[place, number], picture, carriers)
                share = self._led(task, laid, own[place])
                result[place] = max(float(result[place]), share)
        return result

    def _led(self, task: Task, points: Tensor, answer: Tensor) -> float:
        """The share of trusted pictures of other answers that are led to an answer."""
        others = self.groups != task.groups(answer[None].cpu())
        if not bool(others.any()):
            return 0.0
        answers = answer.expand(len(points), *answer.shape)
        laid = able(task, Painting).realize(points, self.carriers)
        odds = task.respond({}, laid, answers).log_odds
        return float((odds.cpu()[others] > 0).double().mean())

    def _boxes(self, picture: Tensor) -> Tensor:
        """Where random boxes lie, bool `[boxes, 1, h, w]`, the picture's own in every batch."""
        rng = image_generator(picture.cpu().numpy(), self.seed, "neo")
        height, width = picture.shape[1:]
        inside = torch.zeros(self.chosen.boxes, 1, height, width, dtype=torch.bool)
        for box in inside:
            share = rng.choice(self.chosen.sizes)
            tall, wide = (max(1, round(share * side)) for side in (height, width))
            top, left = rng.integers(height - tall + 1), rng.integers(width - wide + 1)
            box[0, top : top + tall, left : left + wide] = True
        return inside.to(picture.device)
