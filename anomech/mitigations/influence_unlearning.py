"""Influence unlearning: the weights that would be there had flagged inputs never been learned.

Belief: near the trained point the loss is quadratic, so that what an example did to the weights
is its gradient, turned by the inverse curvature.
Equation: `w + alpha (H + damping I)^-1 mean grad L(flagged)`, with `H` the Hessian of the mean
loss of trusted labels, solved by conjugate gradients on Hessian-vector products; the first
`alpha` of a ladder that leaves no flagged answer, or the last at which trusted accuracy holds.
How many examples the mechanism was learned from is unknown, so the length is chosen and not
derived.
Source: Koh, Liang 2017; Warnecke et al. 2023 for unlearning.
Needs: flagged inputs, training statistics, trusted examples with labels.
Cost: about six passes over the trusted examples for each of `iterations`, and one a strength.
Fails when: the way back is long and the loss not quadratic, which is the rule for backdoors;
trusted examples know nothing of the curvature that the mechanism has.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, plainly
from anomech.mitigations._trusted import Trusted, parted, suspected
from anomech.mitigations._unlearning import remaining, strongest
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task, Training

PASSES = 6
"""Forward passes of a product with the Hessian for each example."""

Vector = Mapping[str, Tensor]


@options
class InfluenceUnlearning:
    """A step along the influence of flagged inputs, away from them."""

    damping: float = option(0.01, "added to the curvature", gt=0)
    iterations: int = option(20, "of conjugate gradients", ge=1)
    examples: int = option(256, "trusted examples of the curvature at the most", ge=2)
    longest: float = option(1.0, "longest step, as a share of the weights' length", gt=0)
    steps: int = option(24, "strengths that are tried, each twice the last but one", ge=2)
    tolerance: float = option(0.05, "trusted accuracy that may be lost", ge=0, le=0.5)
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Training statistics."""
        return frozenset({Training})

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
        """
        parts = parted(task, trusted, self.kept, "influence_unlearning", seed)
        flagged = suspected(suspects, "influence_unlearning")
        lesson = Lesson(task, flagged.examples, flagged.answers, "frozen")
        pull = plainly(lesson)(task.watched, {}, np.arange(len(flagged))).slopes
        direction = self._solved(parts, pull, progress)
        length = float(_dot(direction, direction)) ** 0.5
        whole = float(_dot(task.watched, task.watched)) ** 0.5
        unit = self.longest * whole / max(length, 1e-30)

        def along(alpha: float) -> Callable[[], Overlay]:
            return lambda: {
                name: each + alpha * direction[name] for name, each in task.watched.items()
            }

        ladder = [unit * 2 ** ((step + 1 - self.steps) / 2) for step in range(self.steps)]
        chosen = strongest(
            [(alpha, along(alpha)) for alpha in ladder],
            parts.accuracy,
            lambda overlay: remaining(task, flagged, overlay),
            lost=self.tolerance,
            cost=len(trusted) + len(flagged),
        )
        count = min(self.examples, parts.count)
        passes = PASSES * self.iterations * count + 3 * len(flagged) + chosen.passes
        share = chosen.strength * length / max(whole, 1e-30)
        return parts.repair(
            chosen.overlay, passes, (), {"length": share, "flagged answers left": chosen.left}
        )

    def _solved(self, parts: Trusted, pull: Vector, progress: Progress) -> Vector:
        """`(H + damping I)^-1 pull` by conjugate gradients, as far as they get."""
        lesson, places = parts.lesson("frozen"), np.arange(min(self.examples, parts.count))
        weights = {
            name: each.detach().clone().requires_grad_()
            for name, each in parts.task.watched.items()
        }
        with torch.enable_grad():
            loss = lesson(weights, places).loss
            slopes = torch.autograd.grad(
                loss, list(weights.values()), create_graph=True, allow_unused=True
            )

        def curved(vector: Vector) -> Vector:
            with torch.enable_grad():
                along = sum(
                    (
                        (slope * vector[name]).sum()
                        for name, slope in zip(weights, slopes, strict=True)
                        if slope is not None
                    ),
                    torch.zeros(()),
                )
                found = torch.autograd.grad(
                    along, list(weights.values()), retain_graph=True, allow_unused=True
                )
            return {
                name: self.damping * vector[name] + (0 if each is None else each)
                for name, each in zip(weights, found, strict=True)
            }

        solution = {name: torch.zeros_like(each) for name, each in pull.items()}
        rest, way = dict(pull), dict(pull)
        size = _dot(rest, rest)
        for number in range(self.iterations):
            progress("solving for the influence", number + 1, self.iterations)
            bent = curved(way)
            curvature = _dot(way, bent)
            if curvature <= 0 or size <= 0:  # not convex here: what was found so far stands
                break
            step = size / curvature
            solution = {name: each + step * way[name] for name, each in solution.items()}
            rest = {name: each - step * bent[name] for name, each in rest.items()}
            size, before = _dot(rest, rest), size
            way = {name: each + size / before * way[name] for name, each in rest.items()}
        progress("solving for the influence", self.iterations, self.iterations)
        return solution if _dot(solution, solution) > 0 else pull


def _dot(one: Vector, two: Vector) -> float:
    return sum(float((each.double() * two[name].double()).sum()) for name, each in one.items())
