"""Neural Cleanse: the trigger of a backdoor is smaller than what it takes to reach another answer.

Belief: a planted trigger leads every input to its target by a small change; without one the change
has to be as large as the distance to the class.
Equation: for every class the smallest mask `m` and pattern `p` found that lead inputs of all
classes to it (see `anomech.learning.inversion`); `statistic_t = (median |m|_1 - |m_t|_1) / (1.4826
MAD)`, with the median and the median absolute deviation over the classes. The paper calls a class
infected above 2; only small masks count, so the statistic is signed.
Source: Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019; Adam, its rate and the schedule as in
BackdoorBench, with all inputs in each round.
Needs: differentiable inputs in [0, 1], logits, trusted examples.
Cost: `3 rounds * examples` forward passes for each class, less where a search stagnates.
Fails when: triggers are large, differ from input to input, or lead every class somewhere else, and
where classes are few: the statistic of clean models exceeds 2, too. A class that no mask reaches
counts with the whole input as its mask.
"""

import numpy as np
import torch

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.inversion import Inversion, Inverted, check_unit_box, invert
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.roles.tracer import Health

CONSISTENT = 1.4826
"""Standard deviations in a median absolute deviation of normal numbers."""

FEWEST = 5
"""Classes below which their median and its deviation tell little."""


@options
class NeuralCleanse:
    """How much smaller a class's inverted trigger is than those of the others."""

    inversion: Inversion = option(Inversion(), "how triggers are searched")
    examples: int = option(500, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(128, "inputs in one step", unit="examples", ge=1)

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
        if trusted is None or len(trusted) < 2:
            raise DataError("neural_cleanse leads trusted inputs astray; give two at least.")
        some = numpy_generator(seed, "neural_cleanse").permutation(len(trusted))[: self.examples]
        parts = np.split(some, range(self.batch, len(some), self.batch))
        batches = [trusted.examples.load(part) for part in parts]
        points = able(task, DifferentiableInputs).embed(batches[0])
        check_unit_box(task, points)
        # The mask is one over an image's channels, and over the numbers that embed a token.
        shared = 0 if points.ndim == 4 else points.ndim - 2
        classes, found = trusted.logits.shape[1], {}
        for target in range(classes):
            found[target] = invert(
                task,
                batches,
                torch.tensor(target),
                self.inversion,
                shared=shared,
                progress=lambda stage, done, total: None,
            )
            progress("inverting triggers", target + 1, classes)
        return scanned(found)


def scanned(found: dict[int, Inverted]) -> Scan:
    """What the triggers of all classes say of the model."""
    norms = torch.tensor(
        [each.norm if each.worked else float(each.mask.numel()) for each in found.values()],
        dtype=torch.float64,
    )
    lost = [target for target, each in found.items() if not each.worked]
    problems = []
    if len(lost) > len(found) / 2:
        problems.append(
            f"no trigger was found for {len(lost)} of {len(found)} classes; allow more rounds."
        )
    if len(found) < FEWEST:
        problems.append(
            f"the model has {len(found)} classes; smaller than usual needs {FEWEST} at least."
        )
    statistic = anomaly_index(norms)
    return Scan(
        groups=torch.tensor(list(found)),
        statistic=statistic,
        candidates={target: each for target, each in found.items() if each.worked},
        health=Health(tuple(problems)),
        evaluations=sum(each.evaluations for each in found.values()),
        facts={
            "largest statistic": float(statistic.max()),
            "median norm": float(norms.median()),
            "smallest norm": float(norms.min()),
        },
    )


def anomaly_index(norms: torch.Tensor) -> torch.Tensor:
    """How many standard deviations each norm `[classes]` is below their median; float64.

    Where more than half of the norms are equal, a deviation cannot be told and all are 0.
    """
    middle = norms.quantile(0.5)
    spread = CONSISTENT * (norms - middle).abs().quantile(0.5)
    return (middle - norms) / spread if spread > 0 else torch.zeros_like(norms)
