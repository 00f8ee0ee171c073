"""Mean discrepancy: labels whose features are not distributed as their trusted examples' are.

Belief: poison changes the distribution of the features of its label.
Equation: per label, the unbiased squared maximum mean discrepancy between its examples and its
trusted ones, with a Gaussian kernel as wide as the median distance, and a p-value by permutations.
`suspicion` is the witness, the mean kernel to the label's examples less that to the trusted ones,
times the standardized discrepancy of the label; suspects are the examples of labels whose p-value,
by Holm's procedure, is at most `level`, on whose side the witness is positive.
Source: Gretton, Borgwardt, Rasch, Schoelkopf, Smola 2012 (MMD); proposed against backdoors by the
review of backdoor mechanisms.
Needs: features, labels as training saw them, and trusted examples.
Cost: none beyond the forward pass; kernels of all pairs within a label.
Fails when: trusted examples differ from honest training examples, as unseen ones always do a
little: the network fits what it is trained on, and features show it.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._labels import by_label

FEWEST = 4
"""Examples of a label, trusted or not, below which no distribution is compared."""

MOST = 1000
"""Examples of a label that are compared at the most; a discrepancy looks at all pairs."""


@options
class MeanDiscrepancy:
    """Two-sample test of each label's features against its trusted ones."""

    permutations: int = option(500, "of the pooled examples", unit="permutations", ge=20)
    level: float = option(0.05, "of the test over all labels", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Always."""
        return True

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`.

        Raises:
            DataError: not one label for each example, or no trusted examples.
        """
        if trusted is None:
            raise DataError("mean discrepancies are to trusted examples; give some.")
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        features, problems, p_values, sides = observed.features, list[str](), {}, {}
        for each in by_label(observed, labels, FEWEST, problems, progress):
            honest = trusted.features[trusted.groups == each.label][:MOST]
            if len(honest) < FEWEST:
                problems.append(f"the label '{each.word}' has {len(honest)} trusted examples.")
                continue
            generator = torch_generator(seed, "discrepancy", each.label)
            order = torch.randperm(len(each.places), generator=generator)[:MOST]
            rows = features[each.places]
            kernel = Kernel.fit(rows[order], honest)
            size, p = kernel.test(rows[order], honest, self.permutations, generator)
            witness = kernel(rows, rows[order]).mean(dim=1) - kernel(rows, honest).mean(dim=1)
            suspicion[each.places] = witness * max(size, 0.0)
            p_values[each.word], sides[each.word] = p, each.places[witness > 0]
        for word in holm(p_values, self.level):
            suspects[sides[word]] = True
        facts = {f"p-value of {word}": p for word, p in p_values.items()}
        return Screened(suspicion, suspects, Health(tuple(problems)), facts=facts)


class Kernel:
    """A Gaussian kernel."""

    def __init__(self, width: float) -> None:
        self.width = width

    @classmethod
    def fit(cls, rows: Tensor, others: Tensor) -> "Kernel":
        """As wide as the median distance between the pooled rows."""
        away = torch.pdist(torch.cat([rows, others]))
        return cls(max(float(away.median()), 1e-12))

    def __call__(self, rows: Tensor, others: Tensor) -> Tensor:
        """Kernels of all pairs `[rows, others]`."""
        return torch.exp(-torch.cdist(rows, others).square() / (2 * self.width**2))

    def test(
        self, rows: Tensor, others: Tensor, permutations: int, generator: torch.Generator
    ) -> tuple[float, float]:
        """The discrepancy by the spread of permuted ones, and its p-value."""
        pooled = torch.cat([rows, others])
        gram = self(pooled, pooled).fill_diagonal_(0)
        own = discrepancy(gram, torch.arange(len(pooled)), len(rows))
        chance = torch.tensor(
            [
                discrepancy(gram, torch.randperm(len(pooled), generator=generator), len(rows))
                for _ in range(permutations)
            ]
        )
        p = (1 + int((chance >= own).sum())) / (permutations + 1)
        return (own - float(chance.mean())) / max(float(chance.std()), 1e-12), p


def discrepancy(gram: Tensor, order: Tensor, count: int) -> float:
    """Unbiased squared discrepancy of the first rows, in an order, to the others.

    Args:
        gram: kernels of all pairs, zero on the diagonal `[n, n]`.
        order: of the rows `[n]`.
        count: how many are the first.
    """
    one, two = order[:count], order[count:]
    n, m = len(one), len(two)
    within = gram[one][:, one].sum() / (n * (n - 1)) + gram[two][:, two].sum() / (m * (m - 1))
    return float(within - 2 * gram[one][:, two].mean())


def holm(p_values: dict[str, float], level: float) -> list[str]:
    """What is rejected by Holm's procedure, which holds the level over all of them."""
    rejected = []
    for done, (word, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        if p > level / (len(p_values) - done):
            break
        rejected.append(word)
    return rejected
