"""From the scores of a cell and the truth to rates at every threshold."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.bench.metrics import (
    auroc,
    confusion,
    detector_der,
    interval,
    model_der,
    oracle_threshold,
    resample,
    resampled_auroc,
)
from anomech.kernel.randomness import numpy_generator
from anomech.records import ScoreRow, iterate_rows, read_rows
from anomech.records.scorecards import (
    ControlRate,
    Interval,
    Rates,
    ThresholdKind,
    TruthRow,
)

TRUTH = "truth.jsonl"


@dataclass(frozen=True, eq=False)
class Graded:
    """What a detector said of inputs whose truth is known, `[inputs]` each.

    An input without a score is never flagged and ranks below all others.

    Attributes:
        score: higher is more anomalous, float64.
        p_value: float64.
        normal: bool.
        anomalous: bool; neither is an input whose trigger or perturbation did not work.
        right: whether the network's answer is the true label, bool.
        control: names of controls, "" for all others.
    """

    score: np.ndarray
    p_value: np.ndarray
    normal: np.ndarray
    anomalous: np.ndarray
    right: np.ndarray
    control: np.ndarray

    @property
    def has_anomalies(self) -> bool:
        """Whether there is anything to find."""
        return bool(self.anomalous.any())

    @property
    def made(self) -> np.ndarray:
        """Inputs that were meant to be anomalous, whether or not it worked, bool `[inputs]`."""
        return ~self.normal & (self.control == "")

    def flags(self, budget: float) -> np.ndarray:
        """Inputs that are flagged at a calibrated budget, bool `[inputs]`."""
        return self.p_value <= budget


def grade(folder: Path, detector: str) -> Graded:
    """Join scores and truth of a cell's folder on ids.

    Raises:
        RunError: one of the files is missing or damaged.
    """
    truth = read_rows(folder / TRUTH, TruthRow)
    rows = iterate_rows(folder / "scores" / f"{detector}.jsonl", ScoreRow)
    said = {row.id: (row.score, row.p_value) for row in rows if row.role == "input"}
    told = np.array([said.get(row.id, (-np.inf, 1.0)) for row in truth])
    return Graded(
        score=told[:, 0],
        p_value=told[:, 1],
        normal=np.array([row.anomalous is False for row in truth]),
        anomalous=np.array([row.anomalous is True for row in truth]),
        right=np.array([row.right for row in truth]),
        control=np.array([row.control for row in truth], dtype=str),
    )


def ranking(graded: Graded, seed: int) -> Interval | None:
    """AUROC with its bootstrap interval; None without anomalies."""
    if not graded.has_anomalies:
        return None
    normal, anomalous = graded.score[graded.normal], graded.score[graded.anomalous]
    drawn = resample(len(normal), len(anomalous), numpy_generator(seed, "bootstrap"))
    return interval(auroc(normal, anomalous), resampled_auroc(normal, anomalous, drawn))


def rates(
    graded: Graded, budgets: Sequence[float], calibrated: Sequence[float], *, planted: bool
) -> Iterator[Rates]:
    """Rates at every threshold, filtered and not.

    Args:
        graded: scores and truth.
        budgets: of the suite.
        calibrated: those of them that the trusted set is large enough for.
        planted: whether the anomalies are triggers of the network.
    """
    for budget in budgets:
        for filtered in (False, True):
            counted = graded.normal & (graded.right | (not filtered))
            if not counted.any():
                continue
            if budget in calibrated:
                yield _rates(
                    graded, counted, graded.flags(budget), "calibrated", budget, filtered, planted
                )
            if graded.has_anomalies:
                flags = graded.score > oracle_threshold(graded.score[counted], budget)
                yield _rates(graded, counted, flags, "oracle", budget, filtered, planted)


def control_rates(graded: Graded, calibrated: Sequence[float]) -> Iterator[ControlRate]:
    """False alarms on each kind of control at each calibrated budget."""
    for name in dict.fromkeys(graded.control[graded.control != ""].tolist()):
        chosen = graded.control == name
        for budget in calibrated:
            yield ControlRate(
                control=name,
                budget=budget,
                inputs=int(chosen.sum()),
                flagged=float(graded.flags(budget)[chosen].mean()),
            )


def _rates(
    graded: Graded,
    counted: np.ndarray,
    flags: np.ndarray,
    threshold: ThresholdKind,
    budget: float,
    filtered: bool,
    planted: bool,
) -> Rates:
    shares = confusion(flags[counted], flags[graded.anomalous])
    # Filtered, attack success and accuracy are those of what counts, one each before detection.
    triggered = graded.anomalous if filtered else graded.made
    return Rates(
        threshold=threshold,
        budget=budget,
        filtered=filtered,
        **shares._asdict(),
        der=None if shares.tpr is None else detector_der(shares.tpr, shares.fpr),
        der_model=model_der(
            graded.anomalous[triggered], flags[triggered], graded.right[counted], flags[counted]
        )
        if planted and triggered.any()
        else None,
    )
