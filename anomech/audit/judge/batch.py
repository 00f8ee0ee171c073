"""Deciding over a whole batch of inputs at once: false-discovery control."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
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
    p_values = np.array([np.nan if row.p_value is None else row.p_value for row in rows])
    return [
        decided(row, q_value, budget, control)
        for row, q_value in zip(rows, q_values(p_values), strict=True)
    ]


def q_values(p_values: np.ndarray) -> np.ndarray:
    """q-values float64 `[n]` of p-values `[n]`; not a number where those are none."""
    result = np.full(len(p_values), np.nan)
    scored = ~np.isnan(p_values)
    result[scored] = benjamini_hochberg(torch.from_numpy(p_values[scored])).numpy()
    return result


def decided(row: Verdict, q_value: float, budget: float, control: Control) -> Verdict:
    """A verdict with its q-value; a flag that its q-value does not support is taken back."""
    if np.isnan(q_value):
        return row
    changes: dict[str, object] = {"q_value": float(q_value)}
    if control == "batch" and row.decision == "flag" and q_value > budget:
        changes |= {
            "decision": "clear",
            "cause": None,
            "reason": f"Unusual by itself ({row.p_value:.2%} of normal inputs look like it), but "
            f"not enough among so many inputs: {q_value:.0%} of such flags would be false.",
        }
    return row.model_copy(update=changes)
