"""False-discovery control: which flags of a whole batch to believe at once."""

import math

import torch
from torch import Tensor


def benjamini_hochberg(p_values: Tensor) -> Tensor:
    """Adjusted p-values (q-values) of Benjamini and Hochberg (1995), `[n]`.

    Flagging `q <= alpha` keeps the expected share of false flags among all flags at most alpha.
    Conformal p-values that share one calibration set meet its dependence condition (Bates et al.
    2023, "Testing for outliers with conformal p-values").
    """
    count = len(p_values)
    order = p_values.argsort(descending=True)
    ranks = torch.arange(count, 0, -1, dtype=torch.float64)
    adjusted = (p_values.double()[order] * count / ranks).cummin(dim=0).values.clamp_max(1)
    result = torch.empty(count, dtype=torch.float64)
    result[order] = adjusted
    return result


def fewest_flags(inputs: int, calibration: int, level: float) -> int:
    """How many inputs must look as unusual as can be before any of them is flagged.

    No p-value is below `1 / (calibration + 1)`. If k inputs have it, their q-value is `inputs / (k
    (calibration + 1))`, so with fewer than `inputs / (level (calibration + 1))` of them the
    procedure flags none, however unusual they are.
    """
    least = math.ceil(inputs / (level * (calibration + 1)))
    # Compared as q-values are, to the last bit.
    smallest = 1 / (calibration + 1)
    while least > 1 and smallest * inputs / (least - 1) <= level:
        least -= 1
    while smallest * inputs / least > level:
        least += 1
    return least
