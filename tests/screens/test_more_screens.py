"""Screens that came later: their formulas against numbers that can be worked out by hand."""

import numpy as np
import pytest
import torch

from anomech.architectures.digits import DigitsNet
from anomech.attacks.badnets import Badnets
from anomech.data.digits import load_digits
from anomech.data.images import from_arrays
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, train
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.screens._entropy import entropy_scores, entropy_weights
from anomech.screens.asset import (
    Asset,
    half_normal_bound,
    medcouple,
    outlyingness,
    told_apart,
)
from anomech.screens.exclusionary_reclassification import ExclusionaryReclassification, shares
from anomech.screens.flare import clusters, islands, least_likely, projected
from anomech.screens.spectre import filtered, whitened, widest_square
from anomech.tasks.image_classifier import ImageClassifier


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@pytest.fixture(scope="module")
def poisoned():
    """Digits, a tenth with a patch and the label 0, as a network that learned them answers."""
    images, labels = load_digits()
    made = Badnets(ratio=0.1, size=2).poison(images[:600], labels[:600], seed=0)
    recipe = Recipe(epochs=20, batch=50, peak=0.1, augment="none")
    network = train(DigitsNet(), made.inputs, made.labels.copy(), recipe, seed=0)
    trusted = from_arrays(images[600:800], labels[600:800])
    task = prepared(ImageClassifier(network), trusted)
    training = observe(task, from_arrays(made.inputs, made.labels))
    return training, made.labels, observe(task, trusted), made.poisoned


class TestEntropy:
    def test_without_alpha_all_directions_weigh_alike(self):
        rows = normal(50, 4)
        torch.testing.assert_close(entropy_weights(rows, 0.0), torch.eye(4).double() / 4)
        torch.testing.assert_close(entropy_scores(rows, 0.0), rows.square().mean(dim=1))

    def test_a_large_alpha_leaves_the_widest_direction(self):
        rows = normal(400, 3) * torch.tensor([1.0, 5.0, 1.0])
        torch.testing.assert_close(
            entropy_scores(rows, 500.0), rows[:, 1].square(), rtol=0.2, atol=0.5
        )


class TestSpectre:
    def test_whitening_by_some_rows_makes_these_white(self):
        rows = normal(300, 3) @ torch.tensor([[2.0, 1, 0], [0, 1, 3], [0, 0, 1]]).double() + 5
        kept = torch.arange(0, 300, 2)
        white = whitened(rows, kept)[kept]
        torch.testing.assert_close(white.mean(dim=0), torch.zeros(3).double(), atol=1e-9, rtol=0)
        torch.testing.assert_close(white.T @ white / len(kept), torch.eye(3).double())

    def test_of_normal_rows_no_square_varies_more_than_twice(self):
        spread, values = widest_square(whitened(normal(20_000, 3), torch.arange(20_000)))
        assert spread == pytest.approx(2.0, abs=0.15)
        assert float(values.var(correction=0)) == pytest.approx(spread)

    def test_the_filter_takes_what_bends_the_covariance_and_leaves_normal_rows(self):
        rows = normal(300, 4)
        assert len(filtered(rows, 0.1)) > 270
        rows[:30, 0] += 12
        kept = filtered(rows, 0.1)
        assert int((kept < 30).sum()) <= 3
        assert len(kept) >= 240


class TestFlare:
    def test_the_least_likely_unit_counts(self):
        rows = torch.zeros(101, 2).double()
        rows[:, 0] = torch.linspace(-1, 1, 101)
        rows[:, 1] = torch.linspace(-1, 1, 101).flip(0)
        rows[7, 1] = 9.0
        found = least_likely(rows)
        variance = float(rows[:, 1].var(correction=0))
        away = float((rows[7, 1] - rows[:, 1].mean()) ** 2)
        expected = -(away / variance + np.log(2 * np.pi * variance)) / 2
        assert float(found[7]) == pytest.approx(expected, rel=1e-5)
        assert int(found.argmin()) == 7

    def test_an_island_is_one_and_a_single_cloud_is_none(self):
        cloud = normal(300, 2)
        assert int(clusters(cloud, 15).max()) <= 0
        both = torch.cat([cloud, normal(40, 2, seed=1) * 0.3 + 8])
        kinds = clusters(both, 15)
        assert int(kinds.max()) == 1
        suspicion, suspects = islands(both, kinds)
        assert suspects[300:].all()
        assert not suspects[:300].any()
        assert float(suspicion[300:].min()) > float(suspicion[:300].max())

    def test_projections_are_along_what_varies_together(self):
        line = normal(200, 1)
        near = projected(torch.cat([line, 3 * line + 1, 0.01 * normal(200, 1, seed=2)], dim=1), 1)
        assert abs(float(np.corrcoef(near[:, 0], line[:, 0])[0, 1])) > 0.99


class TestAsset:
    def test_medcouple_is_zero_of_what_is_even_and_turns_with_the_side(self):
        even = np.linspace(-2, 2, 101)
        assert medcouple(even) == pytest.approx(0.0, abs=1e-12)
        skew = np.random.default_rng(0).exponential(size=400)
        assert medcouple(skew) > 0.2
        assert medcouple(-skew) == pytest.approx(-medcouple(skew))
        # By hand: m = 2, a in {0, 1, 2}, b in {2, 4, 8}; the median of the nine ratios is 1/3.
        assert medcouple(np.array([0.0, 1, 2, 4, 8])) == pytest.approx(1 / 3)

    def test_the_whisker_is_one(self):
        values = np.linspace(0, 1, 1001)
        at = outlyingness(np.append(values, 0.75 + 1.5 * 0.5))
        assert float(at[-1]) == pytest.approx(1.0, abs=0.01)

    def test_the_bound_is_that_of_a_normal_distribution(self):
        values = normal(200_000) * 2 + 3
        assert half_normal_bound(values, 0.025) == pytest.approx(3 + 2 * 1.96, abs=0.05)

    def test_what_can_be_told_apart_is(self):
        rows = torch.cat([normal(40, 3) + 3, normal(40, 3, seed=1)]).float()
        truth = torch.arange(80).lt(40).float()
        found = told_apart(rows, truth, 60, torch.Generator().manual_seed(0))
        assert float(found[:40].min()) > float(found[40:].max())

    def test_without_trusted_examples_it_is_refused(self, poisoned):
        training, labels, _, _ = poisoned
        with pytest.raises(DataError, match="compares with trusted examples"):
            Asset().screen(training, labels, None, seed=0, progress=silent)


class TestExclusionaryReclassification:
    def test_shares_of_own_and_commonest_other(self):
        assert shares(torch.tensor([2, 2, 1, 3, 1, 1]), 2) == pytest.approx((2 / 6, 3 / 6))
        assert shares(torch.tensor([2, 2]), 2) == (1.0, 0.0)

    def test_a_patch_is_found_by_a_network_that_has_not_seen_it(self, poisoned):
        training, labels, _, truth = poisoned
        found = ExclusionaryReclassification().screen(
            training, labels, None, seed=0, progress=silent
        )
        suspects = found.suspects.numpy()
        assert (suspects & truth).sum() > 0.6 * truth.sum()
        assert (suspects & ~truth).sum() < 0.1 * (~truth).sum()
