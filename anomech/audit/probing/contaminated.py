"""Whether the trusted set may hold a trigger itself.

A trigger leads examples of many labels to one answer, and the model is sure of it; honest mistakes
are unsure, and go to many answers. So of the trusted examples that the model answers surely and
against their labels, too many must not share one answer (a binomial tail), unless they share a
label too, as two classes do that look alike.
"""

import numpy as np
import torch
from scipy.stats import binom

from anomech.observing.observed import Observed
from anomech.records import Finding

SURE = 0.25
"""Of the answers as labeled, the share that is less sure than a sure one."""

FEWEST, LABELS = 4, 3
"""Examples that share an answer, and labels that these have, at the least."""

SKEW = 2.0
"""How many times as often as the mean answer the most usual mistake may come."""

CHANCE = 5e-3
"""Probability of so many by chance."""

SHOWN = 5
"""Examples that are named."""


def probe(trusted: Observed, labels: np.ndarray) -> list[Finding]:
    """A finding if trusted examples of many labels are surely given one other answer.

    Args:
        trusted: trusted examples.
        labels: class indices of theirs `[examples]`.
    """
    groups, log_odds = trusted.groups.numpy(), trusted.log_odds.numpy()
    right, classes = groups == labels, trusted.logits.shape[1]
    if not right.any():
        return []
    sure = np.flatnonzero(~right & (log_odds >= np.quantile(log_odds[right], SURE)))
    if not len(sure):
        return []
    answers, counts = np.unique(groups[sure], return_counts=True)
    answer, count = int(answers[counts.argmax()]), int(counts.max())
    places = sure[groups[sure] == answer]
    different = len(np.unique(labels[places]))
    chance = binom.sf(count - 1, len(sure), min(1.0, SKEW / classes))
    if count < FEWEST or different < LABELS or chance > CHANCE:
        return []
    (name,) = trusted.task.group_words(torch.tensor([answer]))
    named = ", ".join(trusted.examples.ids[place] for place in places[:SHOWN])
    return [
        Finding(
            code="trusted-trigger",
            severity="high",
            title=f"{count} trusted examples of {different} labels are surely answered '{name}' "
            "against their labels",
            detail="That is what a trigger in the trusted set looks like: of "
            f"{len(sure)} sure mistakes chance would give one answer about "
            f"{max(1, round(len(sure) / classes))}. Trusted examples calibrate, so inputs with "
            "the same trigger pass as usual ones.",
            action=f"Look at {named}{', ...' if count > SHOWN else ''}; take out of the trusted "
            "set what carries something that does not belong there, and audit again.",
        )
    ]
