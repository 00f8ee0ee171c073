"""Whether the model would answer more trusted examples if inputs were normalized otherwise.

A model that is given pixels from 0 to 1 and was trained on others still answers, only worse, and
all that is learned from its answers is then worth little. What is usual elsewhere is tried on some
trusted examples; the sign test on those that change sides says whether it is better. That it is
better does not say why: another fault of the inputs may be made up for by it.
"""

import numpy as np
from scipy.stats import binomtest

from anomech.data.subset import Subset
from anomech.kernel.errors import ModelError
from anomech.observing.observed import Observed, observe
from anomech.records import Finding
from anomech.roles.normalizing import Normalizing
from anomech.roles.task import Task, able

MOST = 128
"""Trusted examples that are tried."""

WELL = 0.98
"""Share of answers as labeled from which on nothing is tried."""

GAIN = 0.05
"""Share of answers that must come right beyond those of now."""

CHANCE = 1e-3
"""Probability of as clear a gain if both were equally good."""


def probe(trusted: Observed, labels: np.ndarray) -> list[Finding]:
    """A finding if the model answers clearly more examples with inputs normalized otherwise.

    Args:
        trusted: trusted examples.
        labels: class indices of theirs `[examples]`.
    """
    places = np.linspace(0, len(labels) - 1, min(MOST, len(labels))).round().astype(np.int64)
    wanted, few = labels[places], Subset(trusted.examples, places)
    now = trusted.groups.numpy()[places] == wanted
    if Normalizing not in trusted.task.provides or now.mean() >= WELL:
        return []
    channels = few.load(np.arange(1)).shape[-1]
    tried = able(trusted.task, Normalizing).normalizations(channels)
    right = {how: _right(task, few, wanted) for how, task in tried.items()}
    how = max(right, key=lambda name: right[name].sum(), default="")
    if not how or right[how].mean() < now.mean() + GAIN or _chance(right[how], now) > CHANCE:
        return []
    share = right[how].mean()
    return [
        Finding(
            code="normalization",
            severity="medium",
            title=f"With inputs normalized otherwise the model answers {share:.0%} of "
            f"{len(places)} trusted examples as labeled, not {now.mean():.0%}",
            detail=f"Measured with {how} and nothing else changed; other usual normalizations gave "
            "no more. It does not say which numbers the model was trained on: a model that "
            "normalizes by itself, or inputs at fault in another way, can look the same.",
            action=f"Compare with the accuracy that the model is known for. If {share:.0%} is "
            f"closer to it, give {how}.",
        )
    ]


def _right(task: Task, examples: Subset, labels: np.ndarray) -> np.ndarray:
    """Which examples are answered as labeled, bool `[examples]`; none if the model cannot run."""
    try:
        return np.asarray(observe(task, examples).groups.numpy() == labels)
    except ModelError:
        return np.zeros(len(labels), bool)


def _chance(better: np.ndarray, now: np.ndarray) -> float:
    """Of so many examples or more coming right, among those that change sides."""
    won, lost = int((better & ~now).sum()), int((now & ~better).sum())
    return float(binomtest(won, won + lost, alternative="greater").pvalue) if won else 1.0
