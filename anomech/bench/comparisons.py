"""Is one detector better than another? Paired bootstrap differences on the same inputs.

The first detector of a suite is held against every other, on every case that both have answered and
on the mean over these cases. The cases are those of the suite and are not resampled: an interval
says how far the difference would move with other inputs, not with other attacks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from pathlib import Path

import numpy as np

from anomech.bench.cells import Cell
from anomech.bench.grading import Graded, grade
from anomech.bench.metrics import (
    auroc,
    confusion,
    detector_der,
    interval,
    resample,
    resampled_auroc,
    resampled_der,
)
from anomech.kernel.randomness import numpy_generator
from anomech.records.scorecards import Comparison, Interval

MEAN = "mean"
AUROC, DER = "AUROC", "DER"


@dataclass(frozen=True, eq=False)
class Estimate:
    """A measure of one detector on one case and seed, with its resamples `[draws]`."""

    value: float
    samples: np.ndarray

    def less(self, other: "Estimate") -> "Estimate":
        """The paired difference."""
        return Estimate(self.value - other.value, self.samples - other.samples)


Estimates = Mapping[tuple[str, str], Estimate]
"""By detector and measure."""


def compare(
    cells: Sequence[Cell], folders: Mapping[str, Path], first: str, budget: float
) -> list[Comparison]:
    """The first detector against every other.

    Args:
        cells: that have been judged, in the order of the suite.
        folders: of the cells by their id.
        first: the detector that the others are compared with.
        budget: of the calibrated threshold that DER is measured at.
    """
    seen: dict[str, list[Estimates]] = {}
    for (case, seed), some in groupby(cells, key=lambda cell: (cell.case, cell.seed)):
        graded = {cell.detector: grade(folders[cell.id], cell.detector) for cell in some}
        seen.setdefault(case, []).append(_estimates(graded, budget, seed, case))
    others = dict.fromkeys(cell.detector for cell in cells if cell.detector != first)
    return [
        Comparison(case=case, first=first, second=second, measure=measure, difference=difference)
        for second in others
        for measure in (AUROC, DER)
        for case, difference in _differences(seen, first, second, measure)
    ]


def _estimates(graded: Mapping[str, Graded], budget: float, seed: int, case: str) -> Estimates:
    """Both measures of all detectors of one case, on the same resamples; none without anomalies."""
    # Where a tie of logits falls may depend on the pass; only inputs of one truth are compared.
    normal = _common(each.normal for each in graded.values())
    anomalous = _common(each.anomalous for each in graded.values())
    if not (normal.any() and anomalous.any()):
        return {}
    rng = numpy_generator(seed, "bootstrap", case)
    drawn = resample(int(normal.sum()), int(anomalous.sum()), rng)
    found = {}
    for detector, each in graded.items():
        scores = each.score[normal], each.score[anomalous]
        found[detector, AUROC] = Estimate(auroc(*scores), resampled_auroc(*scores, drawn))
        flags = each.flags(budget)[normal], each.flags(budget)[anomalous]
        shares = confusion(*flags)
        assert shares.tpr is not None
        value = detector_der(shares.tpr, shares.fpr)
        found[detector, DER] = Estimate(value, resampled_der(*flags, drawn))
    return found


def _common(masks: Iterable[np.ndarray]) -> np.ndarray:
    return reduce(np.logical_and, masks)


def _differences(
    seen: Mapping[str, Sequence[Estimates]], first: str, second: str, measure: str
) -> Iterator[tuple[str, Interval]]:
    """The difference on every case, each the mean over its seeds, and on their mean."""
    means = []
    for case, seeds in seen.items():
        paired = [
            found[first, measure].less(found[second, measure])
            for found in seeds
            if {(first, measure), (second, measure)} <= found.keys()
        ]
        if paired:
            means.append(_mean(paired))
            yield case, interval(means[-1].value, means[-1].samples)
    if means:
        over = _mean(means)
        yield MEAN, interval(over.value, over.samples)


def _mean(estimates: Sequence[Estimate]) -> Estimate:
    return Estimate(
        float(np.mean([each.value for each in estimates])),
        np.mean([each.samples for each in estimates], axis=0),
    )
