"""Made-up statistics of trusted examples, for fits to them."""

import numpy as np
import torch

from anomech.attribution.usual import Context


def world(count=2000, seed=0):
    """Two answers with centers of their own; what is unsure scatters four times as far."""
    rng = np.random.default_rng(seed)
    groups = np.arange(count) % 2
    log_odds = rng.uniform(0, 10, count)
    scale = np.where(log_odds < 5, 4.0, 1.0)
    values = rng.normal(size=(count, 3)) * scale[:, None] + 5 * groups[:, None]
    return torch.from_numpy(values), at(torch.from_numpy(groups), torch.from_numpy(log_odds))


def at(groups, log_odds, right=None):
    """A context; all of it rightly answered unless it is said."""
    groups = torch.as_tensor(groups).long()
    right = torch.ones(len(groups), dtype=torch.bool) if right is None else right
    return Context(groups, torch.as_tensor(log_odds).double(), right)
