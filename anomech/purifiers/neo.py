"""NEO: the box whose content leads other pictures is blanked, and the rest is answered.

Belief: without its trigger a picture is answered honestly; a box that holds a trigger leads trusted
pictures that it is laid over, and an honest part hardly does.
Equation: boxes of several sizes over the whole picture are filled with its commonest color; of the
three that lower the own log-odds most below 0, the first whose content leads at least `led` of the
trusted pictures of other answers to the own answer stays blanked. Other pictures stay as they are.
Source: Udeshi, Peng, Woo, Loh, Rawshan, Chattopadhyay 2022 (NEO). Boxes lie on a grid, half a side
apart, where theirs are drawn, and have several sizes, because nobody knows the trigger's.
Needs: pictures as inputs; only labels are looked at.
Cost: one forward pass a box, and one a trusted picture for boxes that change the answer.
Fails when: a trigger is larger than the boxes or is none (warps, blends).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.patches import commonest
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import Ability, Pictures, Task, able

TRIED = 3
"""Boxes of a picture that are laid over others."""


@options
class Neo:
    """Blank the box that leads others."""

    sizes: tuple[float, ...] = option((0.12, 0.2, 0.3), "of boxes, shares of the picture's sides")
    carriers: int = option(24, "trusted pictures that a box is laid over", unit="pictures", ge=2)
    led: float = option(0.8, "share of them that a trigger leads", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures."""
        return frozenset({Pictures})

    def fit(
        self, task: Task, trusted: ObservedExamples, *, seed: int, progress: Progress
    ) -> "FittedNeo":
        """Draw the trusted pictures.

        Raises:
            DataError: there are fewer than two.
        """
        if len(trusted) < 2:
            raise DataError("neo lays boxes over trusted pictures; give two at least.")
        count = min(self.carriers, len(trusted))
        places = numpy_generator(seed, "neo").choice(len(trusted), count, replace=False)
        groups = trusted.groups[torch.from_numpy(places)]
        carriers = trusted.examples.load(places)
        sides = able(task, Pictures).embed(carriers[:1]).shape[2:]
        boxes = list(_boxes(sides[0], sides[1], self.sizes))
        return FittedNeo(self, torch.stack(boxes), carriers, groups, float(len(boxes) + count))


@dataclass(frozen=True)
class FittedNeo:
    """See `anomech.roles.purifier.FittedPurifier`.

    Attributes:
        chosen: the options.
        boxes: where they lie, bool `[boxes, 1, h, w]`.
        carriers: trusted pictures as the task loads them.
        groups: kinds of their answers.
    """

    chosen: Neo
    boxes: Tensor
    carriers: Any
    groups: Tensor
    evaluations: float
    facts: dict[str, float] = field(default_factory=dict)

    @torch.no_grad()
    def purified(self, task: Task, batch: Any) -> Any:
        """Pictures, those with a trigger without it."""
        space = able(task, Pictures)
        points, boxes = space.embed(batch), self.boxes
        own = task.respond({}, batch).answers
        fill = torch.stack([commonest(each) for each in points])[:, :, None, None]
        odds = torch.stack(
            [
                space.respond_at({}, torch.where(box, fill, points), batch, own).log_odds
                for box in boxes.to(points.device)
            ]
        )
        clean, carriers = points.clone(), space.embed(self.carriers)
        for place in range(len(points)):
            order = odds[:, place].argsort()[:TRIED]
            for number in order[odds[order, place] < 0].tolist():
                box = boxes[number].to(points.device)
                laid = torch.where(box, points[place], carriers)
                if self._led(task, laid, own[place]):
                    clean[place] = torch.where(box, fill[place], points[place])
                    break
        return space.realize(clean, batch)

    def _led(self, task: Task, laid: Tensor, answer: Tensor) -> bool:
        """Whether trusted pictures of other answers are led to this one by what is laid over."""
        others = self.groups.cpu() != task.groups(answer[None].cpu())
        if not bool(others.any()):
            return False
        answers = answer.expand(len(laid), *answer.shape)
        odds = able(task, Pictures).respond_at({}, laid, self.carriers, answers).log_odds
        return float((odds.cpu()[others] > 0).double().mean()) >= self.chosen.led


def _boxes(height: int, width: int, sizes: tuple[float, ...]) -> Iterator[Tensor]:
    """Boxes of each size over the whole picture, half a side apart, bool `[1, h, w]`."""
    for share in sizes:
        tall, wide = (max(1, round(share * side)) for side in (height, width))
        tops = {*range(0, height - tall + 1, max(1, tall // 2)), height - tall}
        lefts = {*range(0, width - wide + 1, max(1, wide // 2)), width - wide}
        for top in sorted(tops):
            for left in sorted(lefts):
                box = torch.zeros(1, height, width, dtype=torch.bool)
                box[0, top : top + tall, left : left + wide] = True
                yield box
