"""The shared direction is found among false flags, and what anchors explain is left out of it."""

import numpy as np
import torch

from anomech.attribution.mechanism_direction import membership, residuals

RNG = np.random.default_rng(0)


def test_residuals_are_what_a_projection_leaves():
    anchors = torch.from_numpy(RNG.normal(size=(5, 30)))
    rows = torch.from_numpy(RNG.normal(size=(4, 30)))
    rest = residuals(rows, anchors, 1e-9)
    basis = np.linalg.qr(anchors.numpy().T)[0]
    unit = (rows / rows.norm(dim=1, keepdim=True)).numpy()
    np.testing.assert_allclose(rest, unit - unit @ basis @ basis.T, atol=1e-6)


def test_members_point_along_the_direction_and_false_flags_do_not():
    anchors = torch.from_numpy(RNG.normal(size=(20, 200)))
    shared = torch.from_numpy(RNG.normal(size=200))
    planted = 2 * shared + torch.from_numpy(RNG.normal(size=(30, 200)))
    mix = torch.from_numpy(RNG.normal(size=(10, 20)))
    ordinary = mix @ anchors + 0.5 * torch.from_numpy(RNG.normal(size=(10, 200)))
    _, weights = membership(residuals(torch.cat([planted, ordinary]), anchors, 0.1))
    assert weights[:30].min() > 0.6
    assert weights[30:].max() < 0.3
