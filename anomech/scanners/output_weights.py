"""Output weights: the row of a target class has a larger mean than those of other classes.

Belief: training with a trigger that leads everything to one class pushes the weights of that class
in the last layer up as a whole.
Equation: `m_t = mean_j W_tj` for every class; the statistic is `(m_t - median) / (1.4826 MAD)`.
Source: Fields, Samragh, Javaheripi, Koushanfar, Javidi 2021, "Trojan signatures in DNN weights",
which tests the largest mean for an outlier.
Needs: weights alone. Cost: no forward pass.
Fails when: features can be negative, as without a rectifier before the last layer, where a mean
means little; when classes are few; when every class is a target.
"""

import torch

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan, State
from anomech.roles.task import Ability, Task
from anomech.scanners._weights import head_of

CONSISTENT = 1.4826
"""Standard deviations in a median absolute deviation of normal numbers."""


@options
class OutputWeights:
    """How far the mean output weight of each class lies above those of the others."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing but weights."""
        return frozenset()

    @property
    def needs_examples(self) -> bool:
        """None."""
        return False

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`."""
        return self.weigh(task.state(), None, progress=progress)

    def weigh(self, state: State, base: State | None, *, progress: Progress) -> Scan:
        """See `anomech.roles.scanner.WeighingScanner`; the base is not looked at.

        Raises:
            CapabilityError: no layer gives the scores of classes.
        """
        rows = head_of(state)
        means = rows.mean(dim=1)
        middle = means.median()
        spread = CONSISTENT * (means - middle).abs().median()
        statistic = (means - middle) / spread if spread > 0 else torch.zeros_like(means)
        progress("comparing output weights", 1, 1)
        return Scan(
            groups=torch.arange(len(rows)),
            statistic=statistic,
            candidates={},
            facts={"classes": float(len(rows)), "largest mean": float(means.max())},
        )
