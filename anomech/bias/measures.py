"""What a model does by group: accuracy, and several definitions of fairness side by side.

The definitions conflict: where groups differ in how common labels are, no classifier but a perfect
one meets equalized odds and predictive parity both (Chouldechova 2017; Kleinberg, Mullainathan,
Raghavan 2017). So none of them is a verdict, and all of them are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

FEWEST = 10
"""Examples of a group, or of a label in it, below which a rate is not compared."""


@dataclass(frozen=True)
class Gap:
    """By how much groups differ in one respect.

    Attributes:
        value: largest less smallest rate; of several classes that of the class where it is largest.
        mean: over classes.
        worst: the class where it is largest.
        low: the group with the smallest rate there.
        high: the group with the largest.
    """

    value: float
    mean: float
    worst: int
    low: int
    high: int


def accuracies(answers: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> dict[int, float]:
    """Share of each group that is answered as labeled; arrays are int64 `[n]`."""
    return {int(g): float((answers == labels)[groups == g].mean()) for g in np.unique(groups)}


def cells(
    answers: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[tuple[int, int], tuple[int, float]]:
    """Count and accuracy of each group and label together, where there are any."""
    found = {}
    for group in np.unique(groups).tolist():
        for label in np.unique(labels[groups == group]).tolist():
            here = (groups == group) & (labels == label)
            found[group, label] = int(here.sum()), float((answers[here] == label).mean())
    return found


def definitions(
    answers: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> dict[str, Gap | None]:
    """Gaps between groups by definition; None where too few examples can be compared.

    - demographic parity: `P(answer = c)`;
    - equal opportunity: `P(answer = c | label = c)`;
    - equalized odds: the larger of that gap and the gap of `P(answer = c | label != c)`;
    - predictive parity: `P(label = c | answer = c)`;
    - equal accuracy: `P(answer = label)`, one number for all classes.
    """
    every = np.unique(labels).tolist()
    said = {c: answers == c for c in every}
    true = {c: labels == c for c in every}
    always = np.ones(len(labels), dtype=bool)

    def over(of: Mapping[int, np.ndarray], given: Mapping[int, np.ndarray]) -> dict[int, Gap]:
        found = {c: _gap(of[c], given[c], groups, c) for c in every}
        return {c: each for c, each in found.items() if each is not None}

    parity = over(said, dict.fromkeys(every, always))
    opportunity = over(said, true)
    false = over(said, {c: ~each for c, each in true.items()})
    odds = {
        c: max((x[c] for x in (opportunity, false) if c in x), key=lambda gap: gap.value)
        for c in every
        if c in opportunity or c in false
    }
    right = _gap(answers == labels, always, groups, -1)
    return {
        "demographic parity": _largest(parity),
        "equal opportunity": _largest(opportunity),
        "equalized odds": _largest(odds),
        "predictive parity": _largest(over(true, said)),
        "equal accuracy": right,
    }


def _gap(event: np.ndarray, given: np.ndarray, groups: np.ndarray, kind: int) -> Gap | None:
    """How much the share of an event among given examples differs by group."""
    rates = {
        int(group): float(event[here].mean())
        for group in np.unique(groups)
        if (here := given & (groups == group)).sum() >= FEWEST
    }
    if len(rates) < 2:
        return None
    low, high = min(rates, key=lambda g: rates[g]), max(rates, key=lambda g: rates[g])
    value = rates[high] - rates[low]
    return Gap(value, value, kind, low, high)


def _largest(by_class: Mapping[int, Gap]) -> Gap | None:
    if not by_class:
        return None
    worst = max(by_class.values(), key=lambda gap: gap.value)
    mean = float(np.mean([gap.value for gap in by_class.values()]))
    return Gap(worst.value, mean, worst.worst, worst.low, worst.high)


def interval(found: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share at 95 %."""
    if of == 0:
        return 0.0, 1.0
    z, share = 1.959964, found / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (share * (1 - share) / of + z * z / (4 * of * of)) ** 0.5
    return max(0.0, middle - half), min(1.0, middle + half)
