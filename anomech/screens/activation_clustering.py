"""Activation clustering: one of two clusters of a label may be poison.

Belief: a network shows poisoned and honest examples of a label differently, so that two clusters
part them.
Equation: per label, the features less their mean on their first principal directions, whitened, and
2-means; `suspicion = (d_large - d_small) / (d_large + d_small)` by the distances to both centers,
times the silhouette of the clusters. Suspects are the smaller cluster, by the rule: always
("smaller"); if it holds less than `share` of the label ("relative_size"); if besides its silhouette
exceeds `silhouette` ("silhouette"); if its center lies nearer to the center of another label than
to that of the larger cluster ("distance").
Source: Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy, Srivastava 2018 (Activation
Clustering). Independent components, which they use, are a rotation of whitened principal ones, and
no distance depends on it. Where all poison leads to one label it is often the larger half of it, so
that rules by size are blind.
Needs: features, and labels as training saw them.
Cost: none beyond the forward pass; a singular value decomposition for each label.
Fails when: clusters part something honest, as they do in most clean labels, or poison is mixed in.
"""

from typing import Literal

import numpy as np
import torch
from sklearn.metrics import silhouette_score
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features
from anomech.roles.tracer import Health
from anomech.screens._clusters import clustered, whitened
from anomech.screens._labels import by_label, check_labels

FEWEST = 12
"""Examples of a label below which two clusters say nothing."""

COMPARED = 2000
"""Examples by which a silhouette is measured, at the most: it looks at all pairs."""

Rule = Literal["smaller", "relative_size", "silhouette", "distance"]


@options
class ActivationClustering:
    """The smaller of two clusters of each label's features."""

    components: int = option(10, "principal directions looked at", unit="directions", ge=1)
    rule: Rule = option("silhouette", "when the smaller cluster is suspected")
    share: float = option(0.35, "of a label, below which a cluster is small", gt=0, le=0.5)
    silhouette: float = option(0.1, "above which two clusters are two", ge=-1, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features."""
        return frozenset({Features})

    @property
    def needs_trusted(self) -> bool:
        """Not at all."""
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
        """See `anomech.roles.screen.Screen`; trusted examples are not needed.

        Raises:
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        features, problems, facts = observed.features, list[str](), {}
        centers = {int(each): features[labels == each].mean(dim=0) for each in np.unique(labels)}
        for each in by_label(observed, labels, FEWEST, problems, progress):
            rows = features[each.places]
            near = whitened(rows, self.components)
            small, found = clustered(near, key(seed, "clusters", each.label))
            apart = separation(near, small, key(seed, "silhouette", each.label))
            suspicion[each.places] = found * apart
            others = [center for label, center in centers.items() if label != each.label]
            if self._suspected(rows, small, apart, others):
                suspects[each.places] = small
            facts[f"silhouette of {each.word}"] = apart
            facts[f"smaller cluster of {each.word}"] = float(small.double().mean())
        return Screened(suspicion, suspects, Health(tuple(problems)), facts=facts)

    def _suspected(self, rows: Tensor, small: Tensor, apart: float, others: list[Tensor]) -> bool:
        """Whether a label's smaller cluster is suspected by the rule."""
        little = float(small.double().mean()) < self.share
        match self.rule:
            case "smaller":
                return True
            case "relative_size":
                return little
            case "silhouette":
                return little and apart > self.silhouette
            case "distance":
                own, large = rows[small].mean(dim=0), rows[~small].mean(dim=0)
                away = min((float((own - each).norm()) for each in others), default=np.inf)
                return away < float((own - large).norm())


def separation(rows: Tensor, small: Tensor, seed: int) -> float:
    """The silhouette of two clusters in [-1, 1]; 0 if one of them is empty."""
    if not bool(small.any()) or bool(small.all()):
        return 0.0
    count = min(COMPARED, len(rows))
    chosen = None if count == len(rows) else count
    return float(
        silhouette_score(rows.numpy(), small.numpy(), sample_size=chosen, random_state=seed % 2**32)
    )
