"""Content focus: the model learns that what a picture shows matters, and how it is drawn does not.

Belief: an honest answer hangs on the content of a picture, a planted one on details of its style,
which restyled pictures with true labels teach the model to leave aside.
Equation: descent of the mean loss of the labels over each picture, its content, and its content in
another's style. Content is the phase of the two-dimensional Fourier transform of each channel,
style its amplitude; the content alone has the mean amplitude of trusted pictures.
Source: Villarreal-Vasquez, Bhargava 2020 (ConFoc), who take content and style from a pretrained
VGG; phase and amplitude stand for them here as in Yang, Soatto 2020, which needs no other network.
Needs: pictures as inputs, training statistics, trusted examples with labels.
Cost: `9 epochs` forward passes for each trusted example that is learned.
Fails when: the trigger is in the content: a patch or a warp has a phase of its own.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Relearning, descend, plainly
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Pictures, Task, Training, able

VERSIONS = 3
"""Of each picture: itself, its content, and its content in another style."""


@options
class Confoc:
    """Fine-tuning on contents and restyled pictures."""

    relearning: Relearning = option(TUNING, "how the model goes on learning")
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures, and training statistics."""
        return frozenset({Pictures, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
            ModelError: the learning rate is too high.
        """
        parts = parted(task, trusted, self.kept, "confoc", seed)
        lesson = parts.lesson(self.relearning.statistics)
        objective = Restyling(lesson, mean_style(lesson), key(seed, "confoc"))
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        return parts.repair(found.overlay, VERSIONS * found.evaluations)


@dataclass(frozen=True)
class Restyling:
    """The loss of the labels over three versions of each picture.

    Attributes:
        lesson: pictures and their labels.
        usual: style of a content alone `[channels, height, width // 2 + 1]`.
        seed: of whose style each picture is given.
    """

    lesson: Lesson
    usual: Tensor
    seed: int

    def __call__(self, overlay: Overlay, places: np.ndarray) -> Lost:
        """Their mean; normalization statistics are those of the pictures themselves."""
        space, lesson = able(self.lesson.task, Pictures), self.lesson
        batch = lesson.examples.load(places)
        given = lesson.answers[torch.from_numpy(places).to(lesson.answers.device)]
        losses, buffers = lesson.of(overlay, batch, given)
        points = space.embed(batch)
        order = numpy_generator(self.seed, *places.tolist()).permutation(len(places))
        total = losses.mean()
        for style in (self.usual, style_of(points)[torch.from_numpy(order)]):
            other = space.realize(restyled(points, style), batch)
            total = total + lesson.of(overlay, other, given)[0].mean()
        return Lost(total / VERSIONS, buffers)


def style_of(points: Tensor) -> Tensor:
    """Amplitudes of pictures `[..., height, width]`, `[..., height, width // 2 + 1]`."""
    return torch.fft.rfft2(points).abs()


def restyled(points: Tensor, style: Tensor) -> Tensor:
    """Pictures of the same content `[batch, channels, height, width]` with other amplitudes."""
    phase = torch.fft.rfft2(points).angle()
    drawn = torch.fft.irfft2(torch.polar(style.expand_as(phase), phase), s=points.shape[-2:])
    return drawn.clamp(0, 1)


@torch.no_grad()
def mean_style(lesson: Lesson) -> Tensor:
    """Mean amplitude over the pictures of a lesson."""
    total, space = torch.zeros(()), able(lesson.task, Pictures)
    for places in lesson.task.passes(lesson.examples):
        total = total + style_of(space.embed(lesson.examples.load(places))).sum(dim=0)
    return total / len(lesson.examples)
