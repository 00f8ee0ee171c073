"""SCAn: a label that two identities explain much better than one is poisoned.

Belief: features are an identity of their label plus a variation that all labels share; poison has
another identity than the label that it bears.
Equation: covariances `S_mu` of identities and `S_e` of variations by expectation maximization. Per
label, two groups are parted by the discriminant of `F = S_e^-1`; `J` is twice the log likelihood
ratio of two identities against one an example, and the label is poisoned if
`J* = (J - median) / (1.4826 MAD)` over labels exceeds `threshold`. The group with the smaller share
of the label's trusted examples, or else the smaller one, is poison. `suspicion` is the probability
of that group times the logistic function of `J*`.
Source: Tang, Wang, Tang, Zhang 2021 (SCAn). Covariances come from trusted examples, if there are
enough, and features are seen along their principal directions. Groups start along the direction
of most variance and from random halves; the best counts.
Needs: features, labels as training saw them, and five labels or more.
Cost: none beyond the forward pass; iterations over each label.
Fails when: every label is poisoned (all-to-all), or poison is as wide as the label.
"""

import numpy as np
import torch

from anomech.attribution.identities import leaning, parted, principal, variation
from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._labels import by_label, check_labels, robust_z

FEWEST = 6
"""Examples of a label below which two groups say nothing."""

LABELS = 5
"""Labels below which the spread of their ratios says nothing."""


@options
class Scan:
    """Likelihood ratio of two identities against one, label by label."""

    threshold: float = option(7.39, "of J* beyond which a label is poisoned (e squared)", gt=0)
    components: int = option(48, "principal directions looked at", unit="directions", ge=1)
    starts: int = option(4, "random starts besides the principal direction", unit="starts", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Not at all, though some make it better."""
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
        problems, found = list[str](), []
        enough = trusted is not None and len(trusted) > 2 * self.components
        known = (trusted.features, trusted.groups) if enough and trusted is not None else None
        axes = principal(observed.features, self.components)
        features = observed.features @ axes
        known = None if known is None else (known[0] @ axes, known[1])
        middle = (features if known is None else known[0]).mean(dim=0)
        within = variation(*(known or (features, torch.tensor(labels))), middle)
        metric = torch.linalg.inv(within)
        for each in by_label(observed, labels, FEWEST, problems, progress):
            rows = features[each.places] - middle
            generator = torch_generator(seed, "scan", each.label)
            ratio, lean = parted(rows, metric, self.starts, generator)
            if known is not None and bool((known[1] == each.label).any()):
                honest = known[0][known[1] == each.label] - middle
                share = float((leaning(honest, rows, lean > 0, metric) > 0).double().mean())
                lean = -lean if share > float((lean > 0).double().mean()) else lean
            elif float((lean > 0).double().mean()) > 0.5:
                lean = -lean
            found.append((each, ratio, lean))
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        if len(found) < LABELS:
            problems.append(
                f"{len(found)} labels can be compared, and {LABELS} are needed to tell which "
                "stands out."
            )
        stand = robust_z(torch.tensor([ratio for _, ratio, _ in found]).double())
        facts = {}
        for (each, _, lean), size in zip(found, stand.tolist(), strict=True):
            suspicion[each.places] = torch.sigmoid(lean) * float(torch.sigmoid(torch.tensor(size)))
            if size > self.threshold and len(found) >= LABELS:
                suspects[each.places] = lean > 0
            facts[f"J* of {each.word}"] = size
        return Screened(suspicion, suspects, Health(tuple(problems)), facts=facts)
