"""State views: flagged and trusted inputs as points of a plane, layer by layer.

Belief: what no number tells may be plain to the eye: whether flagged inputs are a heap of their
own, part of their answer's, or between two.
Equation: at up to `places` places spread over the depth, pooled activations of flagged inputs and
of trusted ones of the same answers, standardized, on their first two principal directions; at the
last of them also t-SNE of the first `components` principal directions. Among the facts, the
silhouette of the two kinds at each place, in all dimensions. `units` say how far each unit's means
lie apart, in standard deviations.
Source: van der Maaten, Hinton 2008 (t-SNE), by scikit-learn; Rousseeuw 1987 (silhouettes).
Needs: activations between layers; trusted inputs with the answers of the flagged.
Cost: a forward pass for every input; t-SNE of `most` inputs at the most.
Fails when: it is read as proof. Heaps of t-SNE have no sizes and no distances.
"""

import numpy as np
import torch
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_score
from torch import Tensor

from anomech.explainers._comparing import activations_of, compared
from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation, View
from anomech.roles.task import Ability, Activations
from anomech.roles.tracer import Health

FEWEST = 8
"""Points that t-SNE is made of at the least."""


@options
class StateViews:
    """Principal directions of states, and t-SNE of the last."""

    places: int = option(4, "between layers, spread over the depth", unit="places", ge=1)
    components: int = option(20, "principal directions that t-SNE sees", ge=2)
    most: int = option(400, "inputs of each kind", unit="examples", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations between layers."""
        return frozenset({Activations})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        ours, theirs = activations_of(both, progress)
        names = list(ours)
        chosen = np.unique(np.linspace(0, len(names) - 1, self.places).round().astype(int))
        units, views, facts = {}, list[View](), dict[str, float]()
        for place in (names[number] for number in chosen):
            mine, others = ours[place][: self.most], theirs[place][: self.most]
            scale = torch.cat([mine, others]).std(dim=0).clamp_min(1e-9)
            units[place] = (mine.mean(dim=0) - others.mean(dim=0)).abs() / scale
            near = principal(torch.cat([mine, others]), self.components)
            views.append(_view(f"principal directions at {place}", near[:, :2], len(mine)))
            facts[f"silhouette at {place}"] = apart(near, len(mine))
        if len(near) >= FEWEST:
            plane = tsne(near, key(seed, "t-SNE"))
            views.append(_view(f"t-SNE at {place}", plane, len(mine)))
        return Explanation(units, None, Health(both.problems), facts, tuple(views))


def principal(rows: Tensor, components: int) -> Tensor:
    """Standardized rows `[n, d]` on their first principal directions `[n, k]`, two at the least."""
    around = (rows - rows.mean(dim=0)) / rows.std(dim=0).clamp_min(1e-9)
    _, _, directions = torch.linalg.svd(around, full_matrices=False)
    near = around @ directions[:components].T
    return torch.nn.functional.pad(near, (0, max(0, 2 - near.shape[1])))


def tsne(rows: Tensor, seed: int) -> Tensor:
    """Rows `[n, d]` in a plane `[n, 2]`."""
    perplexity = min(30.0, (len(rows) - 1) / 3)
    made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed % 2**32)
    return torch.from_numpy(made.fit_transform(rows.numpy())).double()


def apart(rows: Tensor, first: int) -> float:
    """Silhouette in [-1, 1] of the first rows against the others; 0 if one kind is alone."""
    kinds = np.arange(len(rows)) < first
    if min(kinds.sum(), (~kinds).sum()) < 2:
        return 0.0
    return float(silhouette_score(rows.numpy(), kinds))


def _view(words: str, rows: Tensor, first: int) -> View:
    return View(words, rows[:first], rows[first:])
