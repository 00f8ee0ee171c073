"""Certified removal: a new last layer from which flagged inputs are removed, with a proof for it.

Belief: on features that do not change, the last layer is a convex problem, and what single
examples did to its solution can be taken out with a bound on what is left.
Equation: the last layer is fitted to trusted labels and flagged answers together by `sum CE +
strength/2 |W|^2 + <B, W>` with a Gaussian matrix `B` of deviation `noise`; flagged inputs are
then removed by one Newton step on the rest. The gradient that is left, `r`, gives an `(epsilon,
delta)` guarantee with `epsilon = |r| sqrt(2 log(1.5 / delta)) / noise`.
Source: Guo, Goldstein, Hannun, van der Maaten 2020, theorem 3; the residual is computed, not
bounded.
Needs: the input of the layer that gives the logits, training statistics, trusted examples with
labels, flagged inputs.
Cost: no pass through the network but one for features; some hundred steps on the last layer.
Fails when: the mechanism sits below the last layer, which is the rule. Certified is that this
layer is as if it had never seen the flagged inputs, and nothing about the features, which may
still carry the trigger to the target's side: attack success may well remain.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.mitigations._trusted import parted, suspected
from anomech.mitigations._unlearning import remaining
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Features, Logits, Task, Training, able

ITERATIONS = 100
"""Newton steps at the most; each is damped until the objective falls."""


@options
class CertifiedRemoval:
    """Flagged inputs are removed from a new last layer."""

    strength: float = option(1.0, "of the pull of weights towards zero", gt=0)
    noise: float = option(0.1, "deviation of the random linear term", gt=0)
    delta: float = option(1e-4, "chance that the guarantee does not hold", gt=0, le=0.5)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Features, logits and training statistics."""
        return frozenset({Features, Logits, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`.

        Raises:
            DataError: no suspects, no labels, or too few examples.
            CapabilityError: the layer that gives the logits is not a plain linear one.
        """
        parts = parted(task, trusted, self.kept, "certified_removal", seed)
        flagged = suspected(suspects, "certified_removal")
        layer = able(task, Features).feature_layer
        weight, bias = head(task, layer, trusted.features.shape[1])
        index = torch.from_numpy(parts.learned)
        labels = torch.from_numpy(parts.labels)[index]
        rows = torch.cat([trusted.features[index], flagged.features]).cpu()
        if bias is not None:
            rows = with_one(rows)
        answers = torch.cat([labels, flagged.answers.cpu()])
        shape = (len(weight), rows.shape[1])
        drawn = torch.randn(shape, generator=torch_generator(seed, "certified_removal")).double()
        problem = Problem(self.strength, self.noise * drawn)
        start = weight.double().cpu()
        if bias is not None:
            start = torch.cat([start, bias.double().cpu()[:, None]], dim=1)
        both = problem.solved(start, rows, answers, ITERATIONS)
        progress("removing", 1, 2)
        rest, wanted = rows[: len(index)], answers[: len(index)]
        removed = problem.stepped(both, rest, wanted)
        left = float(problem.slope(removed, rest, wanted).norm())
        progress("removing", 2, 2)
        overlay = {f"{layer}.weight": removed[:, : weight.shape[1]].to(weight)}
        if bias is not None:
            overlay[f"{layer}.bias"] = removed[:, -1].to(bias)
        epsilon = left * math.sqrt(2 * math.log(1.5 / self.delta)) / self.noise
        facts = {"epsilon": epsilon, "delta": self.delta, "gradient left": left}
        facts["flagged answers left"] = remaining(task, flagged, overlay)
        return parts.repair(overlay, float(len(flagged)), (), facts)


def head(task: Task, layer: str, features: int) -> tuple[Tensor, Tensor | None]:
    """Weight `[classes, features]` and bias of the layer that gives the logits.

    Raises:
        CapabilityError: it is not a plain linear one.
    """
    state = task.state()
    weight = state.get(f"{layer}.weight")
    if weight is None or weight.ndim != 2 or weight.shape[1] != features:
        raise CapabilityError(
            f"certified_removal needs a linear layer that gives the logits, and '{layer}' is none; "
            "use another method, such as ft_sam."
        )
    return weight, state.get(f"{layer}.bias")


def with_one(features: Tensor) -> Tensor:
    """Features `[examples, features]` and a one for the bias, float64."""
    ones = torch.ones(len(features), 1, dtype=torch.float64)
    return torch.cat([features.double().cpu(), ones], dim=1)


class Problem:
    """Regularized logistic regression with a random linear term.

    Args:
        strength: of the regularization.
        tilt: the random term `[classes, features]`.
    """

    def __init__(self, strength: float, tilt: Tensor) -> None:
        self.strength, self.tilt = strength, tilt

    def value(self, weights: Tensor, rows: Tensor, answers: Tensor) -> float:
        """The objective."""
        lost = functional.cross_entropy(rows @ weights.T, answers, reduction="sum")
        pull = self.strength / 2 * weights.square().sum()
        return float(lost + pull + (self.tilt * weights).sum())

    def slope(self, weights: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
        """Its gradient `[classes, features]`."""
        apart = (rows @ weights.T).softmax(1) - functional.one_hot(answers, len(weights))
        return apart.T @ rows + self.strength * weights + self.tilt

    def stepped(self, weights: Tensor, rows: Tensor, answers: Tensor) -> Tensor:
        """The weights after one Newton step; its system is solved by conjugate gradients."""
        share, slope = (rows @ weights.T).softmax(1), self.slope(weights, rows, answers)

        def curved(vector: Tensor) -> Tensor:
            along = rows @ vector.T
            bent = share * (along - (share * along).sum(1, keepdim=True))
            return bent.T @ rows + self.strength * vector

        step, rest = torch.zeros_like(slope), slope.clone()
        way, size = rest.clone(), rest.square().sum()
        for _ in range(4 * slope.numel()):
            if float(size) <= 1e-24 * float(slope.square().sum() + 1e-300):
                break
            bent = curved(way)
            length = size / (way * bent).sum()
            step, rest = step + length * way, rest - length * bent
            size, before = rest.square().sum(), size
            way = rest + size / before * way
        return weights - step

    def solved(self, start: Tensor, rows: Tensor, answers: Tensor, most: int) -> Tensor:
        """The weights at the minimum, by damped Newton steps."""
        weights = start
        for _ in range(most):
            if float(self.slope(weights, rows, answers).norm()) < 1e-8:
                break
            here, step = self.value(weights, rows, answers), 1.0
            away = self.stepped(weights, rows, answers) - weights
            while step > 1e-8 and self.value(weights + step * away, rows, answers) > here:
                step /= 2
            weights = weights + step * away
        return weights
