"""Mechanisms among flagged inputs, as records."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from anomech.attribution.mechanisms import ALONE, find_mechanisms
from anomech.records import Mechanism, Verdict

SHOWN = 12


def group(
    flagged: Sequence[Verdict],
    residuals: Tensor,
    trusted: Tensor,
    *,
    calibration: int,
    budget: float,
) -> tuple[list[Mechanism], dict[str, int]]:
    """Mechanisms, numbered from 1 by size, and the number of each flagged input that has one.

    Args:
        flagged: verdicts of flagged inputs.
        residuals: their unexplained responses, in the same order.
        trusted: the same of calibration examples, the most anomalous first.
        calibration: how many calibration examples these are the most anomalous of.
        budget: share of normal inputs that are flagged.
    """
    clusters = find_mechanisms(residuals, trusted, calibration=calibration, budget=budget)
    found = []
    for label, cohesion in enumerate(clusters.cohesion):
        members = np.flatnonzero(clusters.labels == label)
        order = np.argsort(-clusters.centrality[members], kind="stable")
        central = members[order].tolist()
        rows = [flagged[place] for place in members.tolist()]
        found.append(
            Mechanism(
                number=label + 1,
                size=len(rows),
                answers=dict(sorted(Counter(row.kind or row.answer for row in rows).items())),
                causes=dict(sorted(Counter(row.cause or "none" for row in rows).items())),
                cohesion=cohesion,
                examples=tuple(flagged[place].id for place in central[:SHOWN]),
                explained=mean_explained(rows),
            )
        )
    numbers = {
        row.id: int(label) + 1
        for row, label in zip(flagged, clusters.labels, strict=True)
        if label != ALONE
    }
    return found, numbers


def mean_explained(rows: Sequence[Verdict]) -> dict[str, float]:
    """Mean explained fraction by part of the network."""
    if not rows:
        return {}
    return {
        part: float(np.mean([row.explained[part] for row in rows])) for part in rows[0].explained
    }
