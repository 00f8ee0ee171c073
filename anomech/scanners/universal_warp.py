"""Universal warp: which class one smooth bend of every picture leads to, beyond chance.

Belief: bending pictures a little changes no honest answer; a network that was taught to answer to a
warp answers to bends that are like it.
Equation: a field of 4x4 nodes, each moved by at most `r` of half a picture's side and smoothed to
its size, that maximizes the mean log-odds of `t` on inputs of other answers, by Adam;
`statistic_t` is that mean on held-out inputs, less the mean with random fields. `r` is doubled
until a quarter of inputs is led to the median class, up to 0.08.
Source: own; the family of triggers is that of WaNet, Nguyen & Tran 2021.
Needs: pictures as differentiable inputs, logits, trusted examples.
Cost: `(3 steps + 1) * examples` forward passes for each class and size.
Fails when: triggers are no warps; where classes are few. Pictures below 16x16 pixels are left out.
"""

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.learning.changes import Climb, Warped
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able
from anomech.scanners._classes import drawn
from anomech.scanners._universal import Sizes, scanned


@options
class UniversalWarp:
    """How far one smooth bend of all pictures leads to a class."""

    nodes: int = option(4, "of the field along a side", unit="nodes", ge=2)
    sizes: Sizes = option(Sizes(smallest=0.04, doublings=1), "shares of half a side")
    climb: Climb = option(Climb(), "how it is searched")
    noise: float = option(1.0, "size of random fields, in sizes of what is searched", ge=0)
    draws: int = option(4, "random fields", unit="draws", ge=1)
    smallest: int = option(
        16,
        "side of pictures that are bent at all: in smaller ones a bend blurs, and tells natural "
        "classes of clean networks apart",
        unit="pixels",
        ge=4,
    )
    examples: int = option(64, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(64, "inputs in one step", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs and logits."""
        return frozenset({DifferentiableInputs, Logits})

    @property
    def needs_examples(self) -> bool:
        """Pictures to bend."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: inputs that are no pictures.
        """
        some = drawn("universal_warp", trusted, self.examples, self.batch, seed)
        points = able(task, DifferentiableInputs).embed(some.batches[0])
        if points.ndim != 4 or min(points.shape[-2:]) < self.smallest:
            raise CapabilityError(
                f"universal_warp bends pictures of {self.smallest}x{self.smallest} pixels or more, "
                f"which inputs of this {task.kind} are not; use another scanner."
            )
        return scanned(
            task,
            some,
            Warped(self.nodes),
            self.sizes,
            self.climb,
            noise=self.noise,
            draws=self.draws,
            seed=seed,
            progress=progress,
        )
