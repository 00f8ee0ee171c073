"""The density: a surprise that grows with the distance from what is usual."""

import numpy as np
import pytest
import torch
from scipy.stats import norm
from trusted_statistics import at, world

from anomech.attribution.density import fit_density, one_sided


def test_surprise_grows_with_distance_in_every_direction():
    values, context = world()
    density = fit_density(values, context)
    center = density.usual.centers.medians[0]
    for direction in torch.eye(3).double():
        far = torch.linspace(1, 60, 40).double()[:, None] * direction
        surprise = density(center + far, at(torch.zeros(40), torch.full((40,), 8.0)))
        assert (surprise.diff() > 0).all()
        assert torch.isfinite(surprise).all()


def test_the_same_distance_surprises_more_where_the_model_is_sure():
    values, context = world()
    density = fit_density(values, context)
    point = (density.usual.centers.medians[0] + 6).expand(2, 3)
    unsure, sure = density(point, at([0, 0], [1.0, 9.0]))
    assert sure > unsure + 2


def test_trusted_surprises_are_about_exponential():
    values, context = world(4000)
    density = fit_density(values, context)
    fresh = density(*world(4000, seed=1))
    for share in (0.5, 0.1, 0.01):
        assert float((fresh > -np.log(share)).double().mean()) == pytest.approx(share, abs=0.03)


def test_one_sided_is_the_normal_tail_in_nats():
    at = torch.linspace(-5, 30, 50).double()
    np.testing.assert_allclose(one_sided(at), -norm.logsf(at), rtol=1e-9)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_few_examples_give_finite_surprises(count):
    values, context = world(count)
    density = fit_density(values, context)
    assert torch.isfinite(density(*world(20, seed=1))).all()


def test_constant_statistics_give_finite_surprises():
    values, context = world(100)
    values[:, 1] = 3.0
    density = fit_density(values, context)
    assert torch.isfinite(density(values, context)).all()
