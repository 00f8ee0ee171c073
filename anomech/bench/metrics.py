"""What is measured where the truth is known; pure functions of arrays.

Words: scores are higher for more anomalous inputs; `normal` and `anomalous` are scores or flags of
the two kinds. Resampling is stratified, so that both kinds keep their numbers; intervals are
percentiles. Two detectors that judged the same inputs are compared on the same resamples.
"""

import math
from typing import NamedTuple

import numpy as np

from anomech.records.scorecards import Interval

DRAWS = 1000
LEVEL = 0.95


class Confusion(NamedTuple):
    """Shares at one threshold; `tpr`, `precision` and `f1` are None where they mean nothing."""

    fpr: float
    tpr: float | None
    precision: float | None
    f1: float | None


class Resamples(NamedTuple):
    """How often each input is drawn, int64 `[draws, normal]` and `[draws, anomalous]`."""

    normal: np.ndarray
    anomalous: np.ndarray


def auroc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """The chance that an anomalous input scores above a normal one; equal scores count half."""
    once = Resamples(np.ones((1, len(normal)), np.int64), np.ones((1, len(anomalous)), np.int64))
    return float(resampled_auroc(normal, anomalous, once)[0])


def oracle_threshold(normal: np.ndarray, budget: float) -> float:
    """The score above which the budget's share of normal inputs lies; ties may leave fewer."""
    allowed = math.floor(budget * len(normal) + 1e-9)
    return float(np.sort(normal)[::-1][allowed])


def confusion(normal: np.ndarray, anomalous: np.ndarray) -> Confusion:
    """Shares of flags, bool `[normal]` and `[anomalous]`; there is at least one normal input."""
    false, true = int(normal.sum()), int(anomalous.sum())
    fpr = false / len(normal)
    if not len(anomalous):
        return Confusion(fpr, None, None, None)
    precision = true / (true + false) if true + false else None
    return Confusion(
        fpr, true / len(anomalous), precision, 2 * true / (true + false + len(anomalous))
    )


def detector_der(tpr: float, fpr: float) -> float:
    """The detector form of the defense effectiveness rating, which is the balanced accuracy."""
    return (1 + tpr - fpr) / 2


def model_der(
    worked: np.ndarray, rejected_triggers: np.ndarray, right: np.ndarray, rejected: np.ndarray
) -> float:
    """The defense effectiveness rating of a network whose flagged inputs are rejected.

    `[max(0, drop of attack success) - max(0, drop of accuracy) + 1] / 2` (BackdoorBench), where a
    rejected input neither succeeds nor is right.

    Args:
        worked: triggers that get the attacker's answer, bool `[triggered]`.
        rejected_triggers: bool `[triggered]`.
        right: normal inputs with their true answer, bool `[normal]`.
        rejected: bool `[normal]`.
    """
    success, accuracy = worked.mean(), right.mean()
    success_after = (worked & ~rejected_triggers).mean()
    accuracy_after = (right & ~rejected).mean()
    gain, loss = max(0.0, success - success_after), max(0.0, accuracy - accuracy_after)
    return float(gain - loss + 1) / 2


def resample(
    normal: int, anomalous: int, rng: np.random.Generator, draws: int = DRAWS
) -> Resamples:
    """Draws with replacement within each kind."""
    return Resamples(_counts(normal, rng, draws), _counts(anomalous, rng, draws))


def resampled_auroc(normal: np.ndarray, anomalous: np.ndarray, drawn: Resamples) -> np.ndarray:
    """The AUROC of every resample, float64 `[draws]`; exact, in time linear in the inputs."""
    order = np.argsort(normal, kind="stable")
    ranked = normal[order]
    below = np.zeros((len(drawn.normal), len(normal) + 1), np.int64)
    np.cumsum(drawn.normal[:, order], axis=1, out=below[:, 1:])
    under = below[:, np.searchsorted(ranked, anomalous, "left")]
    upto = below[:, np.searchsorted(ranked, anomalous, "right")]
    wins = np.einsum("da,da->d", drawn.anomalous, under + upto)
    return wins / (2 * len(normal) * len(anomalous))


def resampled_der(normal: np.ndarray, anomalous: np.ndarray, drawn: Resamples) -> np.ndarray:
    """The detector form of DER of every resample, float64 `[draws]`; arguments are flags."""
    tpr = drawn.anomalous @ anomalous / len(anomalous)
    fpr = drawn.normal @ normal / len(normal)
    return (1 + tpr - fpr) / 2


def interval(value: float, samples: np.ndarray) -> Interval:
    """An estimate with the percentile interval of its resamples `[draws]`."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(value=float(value), low=float(low), high=float(high))


def _counts(size: int, rng: np.random.Generator, draws: int) -> np.ndarray:
    chosen = rng.integers(0, size, (draws, size)) + size * np.arange(draws)[:, None]
    return np.bincount(chosen.ravel(), minlength=draws * size).reshape(draws, size)
