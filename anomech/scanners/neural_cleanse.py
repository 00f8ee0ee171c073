"""Neural Cleanse: the trigger of a backdoor is smaller than what it takes to reach another answer.

Belief: a planted trigger leads every input to its target by a small change; without one the change
has to be as large as the distance to the class.
Equation: for every class the smallest mask `m` and pattern `p` found that lead inputs of all
classes to it (see `anomech.learning.inversion`); `statistic_t = (median |m|_1 - |m_t|_1) / (1.4826
MAD)`, with the median and the median absolute deviation over the classes. The paper calls a class
infected above 2; only small masks count, so the statistic is signed.
Source: Wang, Yao, Shan, Li, Viswanath, Zheng, Zhao 2019; Adam, its rate and the schedule as in
BackdoorBench, with all inputs in each round. `inversion.suppress` keeps triggers off the class's
own features (Yang, Miller, Kesidis 2025).
Needs: differentiable inputs in [0, 1], logits, trusted examples.
Cost: `3 rounds * examples` forward passes for each class, less where a search stagnates.
Fails when: triggers are large, differ from input to input, or lead every class somewhere else, and
where classes are few: the statistic of clean models exceeds 2, too. A class that no mask reaches
counts with the whole input as its mask.
"""

import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress, silent
from anomech.learning.inversion import Inversion, Inverted, check_unit_box, invert, mask_axis
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import drawn, each_class, few_classes, smallness


@options
class NeuralCleanse:
    """How much smaller a class's inverted trigger is than those of the others."""

    inversion: Inversion = option(Inversion(rounds=40), "how triggers are searched")
    examples: int = option(100, "trusted inputs at the most", unit="examples", ge=2)
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
        some = drawn("neural_cleanse", trusted, self.examples, self.batch, seed)
        points = able(task, DifferentiableInputs).embed(some.batches[0])
        check_unit_box(task, points)
        shared = mask_axis(points)

        def search(target: torch.Tensor) -> Inverted:
            return invert(
                task, some.batches, target, self.inversion, shared=shared, progress=silent
            )

        return scanned(each_class(able(task, Logits).classes, search, progress))


def scanned(found: dict[int, Inverted]) -> Scan:
    """What the triggers of all classes say of the model."""
    norms = torch.tensor(
        [each.norm if each.worked else float(each.mask.numel()) for each in found.values()],
        dtype=torch.float64,
    )
    lost = [target for target, each in found.items() if not each.worked]
    problems = few_classes(len(found))
    if len(lost) > len(found) / 2:
        problems = (
            f"no trigger was found for {len(lost)} of {len(found)} classes; allow more rounds.",
            *problems,
        )
    statistic = smallness(norms)
    return Scan(
        groups=torch.tensor(list(found)),
        statistic=statistic,
        candidates={target: each for target, each in found.items() if each.worked},
        health=Health(problems),
        evaluations=sum(each.evaluations for each in found.values()),
        facts={
            "largest statistic": float(statistic.max()),
            "median norm": float(norms.median()),
            "smallest norm": float(norms.min()),
        },
    )
