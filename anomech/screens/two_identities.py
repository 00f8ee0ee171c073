"""Two identities in one label, told by the variation of all other labels.

Belief: features are an identity of their label plus a variation that all labels share; poison has
another identity than the label that it bears.
Equation: each label is parted in two as in SCAn, by the discriminant of the precision `F` of the
variation within all *other* labels. `d = (m_1 - m_2)^T F (m_1 - m_2)` is the squared distance of
the parts' means; a label is poisoned if `d` is `farther` times the median over labels and its
logarithm stands out by `stands` robust deviations. Poison is the part with the smaller share of the
label's trusted examples, or else the one farther from the mean of all other labels. `suspicion` is
the probability of that part times the logistic function of how the label stands out.
Source: this project; the identities and the parting are those of Tang, Wang, Tang, Zhang 2021
(SCAn), which takes the variation from clean data. Without these poison widens the variation that it
is measured by and hides behind it.
Needs: features, labels as training saw them, and five labels of twenty-five examples or more.
Cost: none beyond the forward pass; iterations over each label, and over all others.
Fails when: most labels are poisoned (all-to-all); labels fall apart by themselves, as ways of
writing a digit do.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.identities import (
    FARTHER,
    FEWEST,
    KINDS,
    STANDS,
    Parting,
    leaning,
    partings,
    plane_of,
    standing,
)
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._labels import check_labels


@options
class TwoIdentities:
    """Distance of two identities in one label, beside the other labels."""

    farther: float = option(FARTHER, "times the usual distance that makes a label poisoned", gt=1)
    stands: float = option(
        STANDS, "robust deviations of its logarithm that this takes besides", gt=0
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Not at all; they tell which part is honest."""
        return False

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
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        kinds = torch.from_numpy(labels.astype(np.int64))
        progress("screening labels", 0, 1)
        plane = plane_of(observed.features)
        rows = None if plane is None else plane(observed.features)
        found = [] if rows is None else partings(rows, kinds, seed, progress)
        progress("screening labels", 1, 1)
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        if plane is None or not found:
            few = f"{KINDS} labels of {FEWEST} examples are needed to tell which stands out."
            why = "features of training examples are not finite." if plane is None else few
            return Screened(suspicion, suspects, Health((why,)))
        honest = None if trusted is None else plane(trusted.features)
        farther, stands = standing(found)
        facts = {}
        for part, times, above in zip(found, farther.tolist(), stands.tolist(), strict=True):
            own = None if honest is None or trusted is None else honest[trusted.groups == part.kind]
            lean = _towards_poison(part, own)
            standing_out = torch.sigmoid(torch.tensor(above - self.stands, dtype=torch.float64))
            suspicion[part.places] = torch.sigmoid(lean) * standing_out
            if times >= self.farther and above >= self.stands:
                suspects[part.places] = lean > 0
            (word,) = observed.task.label_words(np.array([part.kind]))
            facts[f"distance of {word}"] = times
        return Screened(suspicion, suspects, Health(_left(kinds, found)), facts=facts)


def _towards_poison(part: Parting, honest: Tensor | None) -> Tensor:
    """Leanings `[n]` to the part that fewer of the label's trusted examples `[m, d]` lie in."""
    far = part.lean > 0
    if honest is None or not len(honest) or not bool(far.any()):
        return part.lean
    share = float((leaning(honest, part.rows, far, part.metric) > 0).double().mean())
    return -part.lean if share > float(far.double().mean()) else part.lean


def _left(kinds: Tensor, found: list[Parting]) -> tuple[str, ...]:
    """A sentence if labels have too few examples."""
    few = len(kinds.unique()) - len(found)
    return (f"{few} labels have fewer than {FEWEST} examples, too few to compare.",) if few else ()
