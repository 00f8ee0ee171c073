"""BTI-DBF: the trigger is what moves the features that benign answers do not need.

Belief: the features by which a backdoored network answers clean inputs can be told from the rest;
changes of an input that move only the rest are its trigger.
Equation: a mask `m` over the last map of features `f` (`anomech.learning.decoupling`); then a
transform `G` of pictures by `min_G 0.01 A - D` where `A = MSE(m f(x), m f(G(x)))` and
`D = MSE((1 - m) f(x), (1 - m) f(G(x)))`, or by `min_G MSE(x, G(x))` while that is above a bound;
`statistic_t` is the share of held-out `G(x)` that are answered by `t`, less the share before.
Source: Xu, Huang, Li, Qin, Ren 2024. Their generator is trained towards the identity for 50 passes
first; this one begins near it (`anomech.learning.transforms`). The mask starts uniform, and their
code gives a target for every model: the statistic is the share behind it.
Needs: pictures with pathways, layers, logits, trusted examples.
Cost: `(2 passes + 6 rounds) * examples` forward passes, whatever the classes.
Fails when: the features of the backdoor are weak, as those of a small patch are; the mask drifts to
ones, and on clean networks `G` leads to some class too.
"""

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.learning.decoupling import MaskSearch, decoupling, feature_mask
from anomech.learning.halves import NEEDS, Halves, halves
from anomech.learning.transforms import Transform, Transforming, learn_transform
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Pictures, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn, histogram, readings

STEP = 6.0
"""Forward passes that a step of the transform costs for each input: two maps and the way back."""


@options
class BtiDbf:
    """Share of inputs that one class takes when what benign answers do not need is moved."""

    mask: MaskSearch = option(MaskSearch(), "how the mask over features is searched")
    transform: Transforming = option(Transforming(), "how the transform is learned")
    change: float = option(
        0.02, "mean squared change of pixels in [0, 1] above which only it is made smaller", gt=0
    )
    examples: int = option(200, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(64, "inputs in one step", unit="examples", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """What cutting the network asks, pictures and logits."""
        return NEEDS | {Pictures, Logits}

    @property
    def needs_examples(self) -> bool:
        """Inputs to transform."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: a network that cannot be cut in two.
        """
        some = drawn("bti_dbf", trusted, self.examples, self.batch, seed)
        cut, classes = halves(task, some.batches[0]), able(task, Logits).classes
        mask = feature_mask(cut, some.batches, some.answers, self.mask, sparsity=0.0, seed=seed)
        found = learn_transform(
            task,
            some.batches,
            some.answers,
            decoupling(cut, mask, self.change),
            self.transform,
            seed=seed,
            progress=progress,
        )
        before = histogram(readings([own for _, own in some.held_out]), classes)
        after = histogram(transformed(cut, found, some), classes)
        measured = 2.0 * sum(len(own) for _, own in some.held_out)
        return Scan(
            groups=torch.arange(classes),
            statistic=after - before,
            candidates={int((after - before).argmax()): found},
            health=Health(),
            shares=True,
            evaluations=mask.evaluations + STEP * self.transform.rounds * some.searched + measured,
            facts={
                "largest share": float(after.max()),
                "share of the map kept": float(mask.mask.mean()),
            },
        )


@torch.no_grad()
def transformed(cut: Halves, made: Transform, some: Drawn) -> Tensor:
    """Answers to transformed held-out inputs `[inputs]`."""
    space = able(cut.task, DifferentiableInputs)
    return readings(
        [
            space.respond_at({}, made.apply(space.embed(batch)), batch).answers
            for batch, _ in some.held_out
        ]
    )
