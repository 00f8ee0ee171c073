"""Deciding over a whole batch of inputs at once: false-discovery control."""

from collections.abc import Sequence
from typing import Literal

import torch

from anomech.calibration.discovery import benjamini_hochberg
from anomech.records import Verdict

Control = Literal["per_input", "batch"]
"""What the budget bounds: the share of normal inputs that are flagged, or the expected share of
false flags among all flags."""


def controlled(rows: Sequence[Verdict], budget: float, control: Control) -> list[Verdict]:
    """The verdicts with their q-values; decided anew by them if the batch is controlled.

    Args:
        rows: verdicts decided per input.
        budget: of the run.
        control: what the budget bounds.
    """
    scored = [place for place, row in enumerate(rows) if row.p_value is not None]
    p_values = [row.p_value for row in rows if row.p_value is not None]
    q_values = benjamini_hochberg(torch.tensor(p_values, dtype=torch.float64)).tolist()
    by_place = dict(zip(scored, q_values, strict=True))
    return [_decided(row, by_place.get(place), budget, control) for place, row in enumerate(rows)]


def _decided(row: Verdict, q_value: float | None, budget: float, control: Control) -> Verdict:
    changes: dict[str, object] = {"q_value": q_value}
    if control == "batch" and row.decision == "flag" and q_value is not None and q_value > budget:
        changes |= {
            "decision": "clear",
            "cause": None,
            "reason": f"Unusual by itself ({row.p_value:.2%} of normal inputs look like it), but "
            f"not enough among so many inputs: {q_value:.0%} of such flags would be false.",
        }
    return row.model_copy(update=changes)
