"""Two clusters of the examples of a label, which two screens start from."""

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor


def whitened(rows: Tensor, components: int) -> Tensor:
    """Rows `[n, d]` on their first principal directions, each of variance one `[n, k]`."""
    around = rows - rows.mean(dim=0)
    left, sizes, _ = torch.linalg.svd(around, full_matrices=False)
    kept = min(components, int((sizes > 1e-9 * sizes.max().clamp_min(1e-300)).sum()))
    return left[:, : max(1, kept)] * len(rows) ** 0.5


def clustered(rows: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """2-means of rows `[n, k]`.

    Returns:
        Which are in the smaller cluster, bool `[n]`, and how much nearer each lies to its center
        than to the other, in [-1, 1] `[n]`.
    """
    found = KMeans(2, n_init=10, random_state=seed % 2**32).fit(rows.numpy())
    small = int(np.bincount(found.labels_, minlength=2).argmin())
    away = torch.cdist(rows, torch.from_numpy(found.cluster_centers_))
    near, far = away[:, small], away[:, 1 - small]
    return torch.from_numpy(found.labels_ == small), (far - near) / (far + near).clamp_min(1e-12)
