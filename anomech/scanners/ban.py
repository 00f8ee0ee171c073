"""BAN: noise on the neurons that hurts the model most sends everything to a backdoor's target.

Belief: when the weights of a backdoored network are moved so that its loss on clean inputs rises,
the neurons of the backdoor win and one class takes all; a clean network scatters its errors.
Equation: a mask over the last map of features as in BTI-DBF, with a pull towards 0
(`anomech.learning.decoupling`); noise `w (1 + d)`, `b (1 + e)` on every channel of every
normalization, `|d|, |e| <= eps`, by steps of `eps / steps` along the sign of the gradient of the
loss of own answers, with batch statistics; then `statistic_t` is the share of inputs that the noisy
network answers by `t` when it sees only `(1 - m) f(x)`, with its own statistics again, less the
share that `t` had before. A mean over several draws of noise and batches.
Source: Xu, Liu, Koffas, Yu, Picek 2024. Their code draws noise anew for each batch and keeps the
last, and lets it leave the ball; here each draw has one batch and stays in. A network without
normalization has the noise on the rows of its weights.
Needs: differentiable inputs with pathways, layers, training statistics, logits, trusted examples.
Cost: `(2 passes + 3 steps draws / batches) * examples` forward passes, whatever the classes.
Fails when: the backdoor leads every class somewhere else, or was trained not to show in the
weights; and on its own the share is high on many clean networks: it has to be calibrated.
"""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Overlay, Progress
from anomech.learning.decoupling import MaskSearch, feature_mask
from anomech.learning.halves import NEEDS, Halves, halves
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Layers, Logits, Task, Training, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn, histogram, readings

NORMALIZATIONS = (_BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)


@options
class Ban:
    """Share of inputs that one class takes under adversarial noise on the neurons."""

    mask: MaskSearch = option(MaskSearch(), "how the mask over features is searched")
    sparsity: float = option(0.75, "pull of the mask towards 0", ge=0)
    reads: Literal["rest", "all"] = option(
        "rest", "what answers are read from: features that benign answers do not need, or all"
    )
    eps: float = option(0.3, "bound of the noise, as a share of each weight", gt=0)
    steps: int = option(30, "steps that fit the noise", unit="steps", ge=1)
    draws: int = option(3, "draws of noise, each with a batch of its own", unit="draws", ge=1)
    examples: int = option(200, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(64, "inputs in one step", unit="examples", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """What cutting the network asks, and training statistics."""
        return NEEDS | {Training, Logits}

    @property
    def needs_examples(self) -> bool:
        """Inputs whose answers are broken."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: the network cannot be cut in two.
        """
        some = drawn("ban", trusted, self.examples, self.batch, seed)
        cut, classes = halves(task, some.batches[0]), able(task, Logits).classes
        mask = feature_mask(
            cut, some.batches, some.answers, self.mask, sparsity=self.sparsity, seed=seed
        )
        change = mask.rest if self.reads == "rest" else _all
        before = histogram(readings([own for _, own in some.held_out]), classes)
        shares = []
        for draw in range(self.draws):
            place = draw % len(some.batches)
            overlay = noise(
                task, some.batches[place], some.answers[place], self.eps, self.steps, seed + draw
            )
            shares.append(histogram(_answers(cut, change, some, overlay), classes))
            progress("fitting noise", draw + 1, self.draws)
        mean = torch.stack(shares).mean(dim=0)
        plain = histogram(_answers(cut, mask.rest, some, {}), classes)
        steps = 3.0 * self.steps * sum(len(each) for each in _chosen(some, self.draws))
        measured = (self.draws + 1.0) * sum(len(own) for _, own in some.held_out)
        tops = torch.stack(shares).argmax(dim=1)
        return Scan(
            groups=torch.arange(classes),
            statistic=mean - before,
            candidates={},
            health=Health(),
            shares=True,
            evaluations=mask.evaluations + steps + measured,
            facts={
                "largest share": float(mean.max()),
                "draws that agree": float((tops == mean.argmax()).double().mean()),
                "largest share without noise": float(plain.max()),
                "share of the map kept": float(mask.mask.mean()),
            },
        )


def noise(
    task: Task, batch: Any, answers: Tensor, eps: float, steps: int, seed: int
) -> dict[str, Tensor]:
    """Weights whose channels are off by shares that raise the loss of a batch most; an overlay.

    Args:
        task: with training statistics.
        batch: of inputs.
        answers: the model's own.
        eps: bound of every share.
        steps: of the ascent.
        seed: of the start.
    """
    weights, training = channels(task), able(task, Training)
    generator, shares = torch_generator(seed, "ban"), {}
    for name, weight in weights.items():
        start = torch.rand(len(weight), generator=generator) * 2 - 1
        shares[name] = (eps * start).to(weight).requires_grad_()
    targets = answers.to(next(iter(weights.values())).device)
    for _ in range(steps):
        with torch.enable_grad():
            losses, _ = training.training_losses(_noisy(weights, shares), batch, targets)
            slopes = torch.autograd.grad(losses.mean(), list(shares.values()))
        for each, slope in zip(shares.values(), slopes, strict=True):
            with torch.no_grad():
                each.add_(eps / steps * slope.sign()).clamp_(-eps, eps)
    return {name: each.detach() for name, each in _noisy(weights, shares).items()}


def channels(task: Task) -> dict[str, Tensor]:
    """Weights and biases that noise is laid on, by name: of normalizations, or else of all layers.

    Each has one number, or one row, a channel.
    """
    modules = {name: each for name, each in able(task, Layers).layers().items() if name}
    normal = {name: each for name, each in modules.items() if isinstance(each, NORMALIZATIONS)}
    return {
        f"{name}.{part}": tensor.detach()
        for name, module in (normal or modules).items()
        for part in ("weight", "bias")
        if isinstance(tensor := getattr(module, part, None), Tensor)
    }


def _noisy(weights: dict[str, Tensor], shares: dict[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: weight * (1 + shares[name]).view(-1, *[1] * (weight.ndim - 1))
        for name, weight in weights.items()
    }


def _chosen(some: Drawn, draws: int) -> list[Tensor]:
    return [some.answers[draw % len(some.answers)] for draw in range(draws)]


def _all(maps: Tensor) -> Tensor:
    return maps


@torch.no_grad()
def _answers(
    cut: Halves, change: Callable[[Tensor], Tensor], some: Drawn, overlay: Overlay
) -> Tensor:
    """Answers to held-out inputs of which only a part of the features is read."""
    space = able(cut.task, DifferentiableInputs)
    return readings(
        [
            cut.read(space.embed(batch), batch, change, overlay=overlay).answers
            for batch, _ in some.held_out
        ]
    )
