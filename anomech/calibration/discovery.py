"""False-discovery control: which flags of a whole batch to believe at once."""

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
