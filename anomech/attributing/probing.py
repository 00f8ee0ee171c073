"""Where a trigger can be read: a linear probe at every stream, held against a clean model.

On the backdoored model alone a probe finds the trigger's own words, as it would on any model. What
speaks for a backdoor is where it reads more than on a clean one.
"""

from collections.abc import Callable

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from anomech.kernel.randomness import key
from anomech.kernel.types import Progress
from anomech.learning.heads import Asked, log_odds

FOLDS = 5


def streams(asked: Asked, progress: Progress) -> dict[str, Tensor]:
    """The residual stream at the last position, float32 `[prompts, features]`, by place.

    The rows of all places are in one and the same order, which is that of the passes.
    """
    rows: dict[str, list[Tensor]] = {name: [] for name in asked.sequences.streams}

    def reader(name: str) -> Callable[[Tensor], Tensor]:
        def read(activation: Tensor) -> Tensor:
            rows[name].append(activation.detach()[:, -1].float().cpu())
            return activation

        return read

    log_odds(asked, {name: reader(name) for name in rows}, "reading the stream", progress)
    return {name: torch.cat(parts) for name, parts in rows.items()}


def accuracies(triggered: dict[str, Tensor], clean: dict[str, Tensor], seed: int) -> list[float]:
    """Cross-validated accuracy of telling triggered from clean prompts, at every place.

    Both kinds count alike, however many prompts of each there are: it is the mean of both recalls.
    """
    found = []
    for name, ours in triggered.items():
        rows = torch.cat([ours, clean[name]]).numpy()
        kinds = np.r_[np.ones(len(ours)), np.zeros(len(clean[name]))]
        folds = min(FOLDS, int(min(kinds.sum(), len(kinds) - kinds.sum())))
        probe = make_pipeline(
            StandardScaler(), LogisticRegression(C=0.1, max_iter=500, class_weight="balanced")
        )
        parts = StratifiedKFold(folds, shuffle=True, random_state=key(seed, "probe") % 2**32)
        scores = cross_val_score(probe, rows, kinds, cv=parts, scoring="balanced_accuracy")
        found.append(float(scores.mean()))
    return found
