"""Frequency: triggers leave high frequencies that pictures do not have; the model is not asked.

Belief: patches, noise and blends change the spectrum of a picture as nothing natural does.
Equation: the cosine transform (DCT-II) of each channel of a picture in [0, 255], as
`log(1 + |c|)`, standardized by trusted pictures; a small convolutional network learns to tell the
spectra of trusted pictures from those of the same pictures damaged at random (a white block, a
colored block, noise, a shadow, a blend with another picture); the score is its log-odds that a
picture is damaged.
Source: Zeng, Park, Mao, Jia 2021. Their network has six convolutions and sees 32x32 pixels; this
one has three, over any size.
Needs: pictures. Cost: none of the model beyond the forward pass that every detector shares; fitting
takes `steps` steps of a network of its own.
Fails when: a trigger is smooth (the same paper makes one), and where inputs were compressed or
scaled in other ways than trusted ones. It judges pictures: it says nothing of what a model does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.roles.black_box import Pixels
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, able
from anomech.roles.tracer import Health

WIDTHS = (16, 32, 32)
"""Channels of the convolutions; the last two see half the size."""

NARROW = 0.1
"""Added to the spread of every part of the spectrum; some are the same in all pictures."""

LEAST = 8
"""Pixels along a side from which on a spectrum has parts."""


@options
class Frequency:
    """Log-odds that a spectrum is that of a damaged picture."""

    examples: int = option(1000, "trusted pictures to learn from at the most", ge=10)
    steps: int = option(400, "steps of learning", unit="steps", ge=1)
    batch: int = option(64, "pictures in a step, each whole and damaged", ge=2)
    rate: float = option(3e-3, "learning rate of Adam", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Pictures."""
        return frozenset({Pixels})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedFrequency":
        """Learn what the spectra of trusted pictures look like beside damaged ones."""
        space, rng = able(anchors.task, Pixels), numpy_generator(seed, "frequency")
        chosen = np.sort(rng.permutation(len(anchors))[: self.examples])
        pictures = space.embed(anchors.examples.load(chosen)).detach().cpu()
        usual = spectra(pictures)
        scale = {"mean": usual.mean(dim=0), "spread": usual.std(dim=0) + NARROW}
        weights = _drawn(pictures.shape[1], seed)
        free = [each.requires_grad_() for each in weights.values()]
        optimizer = torch.optim.Adam(free, lr=self.rate)
        for step in range(self.steps):
            part = torch.from_numpy(rng.permutation(len(pictures))[: self.batch])
            both = torch.cat([pictures[part], damaged(pictures[part], rng)])
            truth = torch.arange(len(both)).ge(len(part)).float()
            with torch.enable_grad():
                said = judged({**weights, **scale}, spectra(both))
                loss = functional.binary_cross_entropy_with_logits(said, truth)
                slopes = torch.autograd.grad(loss, free)
            for each, slope in zip(free, slopes, strict=True):
                each.grad = slope
            optimizer.step()
            progress("learning spectra", step + 1, self.steps)
        learned = {**{name: each.detach() for name, each in weights.items()}, **scale}
        return FittedFrequency(learned, _health(pictures))


@dataclass(frozen=True)
class FittedFrequency:
    """The network that tells damaged spectra, by the names of its weights."""

    weights: Mapping[str, Tensor]
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)
    evaluations: float = 0.0

    @torch.no_grad()
    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Log-odds of being damaged, nats; higher is more anomalous."""
        space, found = able(observed.task, Pixels), torch.zeros(len(observed)).double()
        done = 0
        for places in observed.task.passes(observed.examples):
            pictures = space.embed(observed.examples.load(places)).cpu()
            said = judged(self.weights, spectra(pictures))
            found[torch.from_numpy(places)] = said.double()
            done += len(places)
            progress("judging spectra", done, len(observed))
        return Scores(found, {})


def spectra(pictures: Tensor) -> Tensor:
    """`log(1 + |DCT-II|)` of the channels of pictures in [0, 1], of the same shape; orthonormal."""
    rows, columns = (_cosines(size) for size in pictures.shape[-2:])
    transformed = rows @ (255 * pictures.float()) @ columns.T
    return transformed.abs().log1p()


def _cosines(size: int) -> Tensor:
    """The orthonormal matrix of the DCT-II `[size, size]`."""
    steps = torch.arange(size, dtype=torch.float64)
    waves = (torch.pi / size * (steps[:, None] * (steps[None] + 0.5))).cos() * (2 / size) ** 0.5
    waves[0] /= 2**0.5
    return waves.float()


def damaged(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Copies of pictures `[n, c, h, w]` in [0, 1], each damaged in one of five ways."""
    moved, (height, width) = pictures.clone(), pictures.shape[-2:]
    others = pictures[torch.from_numpy(rng.permutation(len(pictures)))]
    for place, way in enumerate(rng.integers(0, 5, len(pictures))):
        tall, wide = (int(rng.integers(1, max(2, size // 3) + 1)) for size in (height, width))
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        image = moved[place]
        block = image[:, top : top + tall, left : left + wide]
        if way == 0:
            block.fill_(1.0)
        elif way == 1:
            block.copy_(torch.from_numpy(rng.random(block.shape)).to(block))
        elif way == 2:
            noise = torch.from_numpy(rng.standard_normal(image.shape)).to(image)
            image.add_(float(rng.uniform(0.02, 0.15)) * noise).clamp_(0, 1)
        elif way == 3:
            image[:, :, left:] *= float(rng.uniform(0.3, 0.8))
        else:
            image.lerp_(others[place], float(rng.uniform(0.1, 0.4)))
    return moved


def judged(weights: Mapping[str, Tensor], found: Tensor) -> Tensor:
    """Log-odds of being damaged `[n]` of spectra `[n, c, h, w]`."""
    out = (found - weights["mean"]) / weights["spread"]
    for layer in range(len(WIDTHS)):
        stride = 1 if layer == 0 else 2
        weight, bias = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
        out = functional.elu(functional.conv2d(out, weight, bias, stride=stride, padding=1))
    # Where in the spectrum something is tells most, so places are kept, four by four.
    features = functional.adaptive_avg_pool2d(out, 4).flatten(1)
    return functional.linear(features, weights["head.weight"], weights["head.bias"])[:, 0]


def _drawn(channels: int, seed: int) -> dict[str, Tensor]:
    """Weights drawn at their address."""
    generator, weights, inputs = torch_generator(seed, "frequency"), {}, channels
    for layer, outputs in enumerate(WIDTHS):
        bound = (6 / (9 * inputs)) ** 0.5
        drawn = torch.empty(outputs, inputs, 3, 3)
        weights[f"{layer}.weight"] = drawn.uniform_(-bound, bound, generator=generator)
        weights[f"{layer}.bias"] = torch.zeros(outputs)
        inputs = outputs
    weights["head.weight"] = torch.zeros(1, 16 * inputs)
    weights["head.bias"] = torch.zeros(1)
    return weights


def _health(pictures: Tensor) -> Health:
    height, width = pictures.shape[-2:]
    if min(height, width) >= LEAST:
        return Health()
    return Health((f"pictures of {width} x {height} pixels have hardly a spectrum.",))
