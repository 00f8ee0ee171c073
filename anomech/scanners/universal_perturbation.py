"""Universal perturbation: which class one small addition to every input leads to, beyond chance.

Belief: a trigger that was learned answers to a change of pixels that is far smaller than what takes
inputs to any other class, whatever the attacker's own trigger looks like.
Equation: `d_t = argmax mean log-odds of t on x + d` over inputs of other answers, `|d|_2 <= r`, by
Adam; `statistic_t` is that mean on held-out inputs, less the mean with random additions of three
times the length, which finds the classes that any disturbance leads to. `r` is doubled until a
quarter of inputs is led to the median class.
Source: universal perturbations, Moosavi-Dezfooli, Fawzi, Fawzi, Frossard 2017; comparing classes by
them, and what is taken off for chance, are own.
Needs: differentiable inputs, logits, trusted examples.
Cost: `(3 steps + 1) * examples` forward passes for each class and size.
Fails when: triggers are local and strong, so that a small addition does not reach them, or bend
inputs (`universal_warp`); where classes are few.
"""

import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.changes import Added, Climb
from anomech.learning.inversion import check_unit_box
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.scanners._classes import drawn
from anomech.scanners._universal import Sizes, scanned


@options
class UniversalPerturbation:
    """How far one small addition to all inputs leads to a class."""

    sizes: Sizes = option(
        Sizes(), "lengths, as shares of the usual distance of inputs to their mean"
    )
    climb: Climb = option(Climb(), "how it is searched")
    noise: float = option(3.0, "length of random additions, in lengths of what is searched", ge=0)
    draws: int = option(4, "random additions", unit="draws", ge=1)
    examples: int = option(64, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(64, "inputs in one step", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs and logits."""
        return frozenset({DifferentiableInputs, Logits})

    @property
    def needs_examples(self) -> bool:
        """Inputs to lead astray."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: inputs that are not bound to [0, 1].
        """
        some = drawn("universal_perturbation", trusted, self.examples, self.batch, seed)
        points = able(task, DifferentiableInputs).embed(some.batches[0]).detach()
        check_unit_box(task, points)
        return scanned(
            task,
            some,
            Added(usual_distance(points)),
            self.sizes,
            self.climb,
            noise=self.noise,
            draws=self.draws,
            seed=seed,
            progress=progress,
        )


def usual_distance(points: torch.Tensor) -> float:
    """Root of the mean squared distance of points `[batch, ...]` from their mean; never 0."""
    distances = (points - points.mean(dim=0)).flatten(1).square().sum(dim=1)
    return max(float(distances.mean().sqrt()), 1e-6)
