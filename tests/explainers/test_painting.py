"""Explainers that follow, paint and draw: their formulas, and what they show of a planted patch."""

import numpy as np
import pytest
import torch
from sklearn.metrics import silhouette_score

from anomech.explainers.activation_maximization import ActivationMaximization, cohen, variation
from anomech.explainers.conductance import Conductance, conducted, margin, per_unit
from anomech.explainers.sparse_dictionary import Dictionary, SparseDictionary
from anomech.explainers.state_views import StateViews, apart, principal
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import observe


@pytest.fixture(scope="module")
def both(digits_world):
    """Flagged inputs that are led to the target, and trusted ones."""
    trusted = observe(digits_world.task, digits_world.trusted)
    planted = observe(digits_world.task, digits_world.planted)
    return planted.take(np.flatnonzero((planted.groups == 0).numpy())[:30]), trusted


class TestConductance:
    def test_it_adds_up_to_the_change_of_the_answer(self, both):
        flagged, _ = both
        some = flagged.take(np.arange(6))
        space, places = some.task, np.arange(6)
        batch = some.examples.load(places)
        start = torch.full(space.embed(batch).shape[1:], 0.2)
        found = conducted(some, places, some.answers, start, 40)
        ends = [
            margin(space.respond_at({}, points, batch, some.answers).logits, some.answers)
            for points in (space.embed(batch), start.expand(6, *start.shape))
        ]
        whole = next(iter(found.values())).sum(dim=1)  # the first place cuts the network
        torch.testing.assert_close(whole, (ends[0] - ends[1]).float(), rtol=0.05, atol=0.2)

    def test_it_is_that_of_captum(self, both):
        captum = pytest.importorskip("captum.attr")
        some = both[0].take(np.arange(4))
        batch, network = some.examples.load(np.arange(4)), some.task.network
        start = torch.zeros(some.task.embed(batch).shape[1:])
        place = next(iter(some.task.points()))
        found = conducted(some, np.arange(4), some.answers, start, 200)[place]

        def goal(points):
            logits = network(points)  # all answers are the target's, which is 0
            return margin(logits, torch.zeros(len(logits), dtype=torch.int64))

        layer = dict(network.named_modules())[place]
        by_captum = captum.LayerConductance(goal, layer).attribute(
            some.task.embed(batch), baselines=start[None].expand(4, *start.shape), n_steps=200
        )
        torch.testing.assert_close(found, per_unit(by_captum).detach(), rtol=0.1, atol=0.15)

    def test_flagged_answers_flow_through_other_units_than_trusted_ones(self, both):
        flagged, trusted = both
        found = Conductance(steps=6, most=30).explain(flagged, trusted, seed=0, progress=silent)
        assert set(found.units) == set(flagged.task.points())
        assert max(float(each.max()) for each in found.units.values()) > 0.5


class TestViews:
    def test_principal_directions_keep_distances_of_standardized_rows(self):
        rows = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 4)))
        near = principal(rows, 4)
        white = (rows - rows.mean(0)) / rows.std(0)
        torch.testing.assert_close(torch.cdist(near, near), torch.cdist(white, white))
        assert principal(rows[:, :1], 4).shape == (30, 2)

    def test_the_silhouette_is_that_of_sklearn_and_zero_of_one_kind(self):
        rows = torch.from_numpy(np.random.default_rng(1).normal(size=(20, 3)))
        assert apart(rows, 8) == pytest.approx(silhouette_score(rows, np.arange(20) < 8))
        assert apart(rows, 1) == apart(rows, 20) == 0.0

    def test_planes_hold_all_inputs_and_planted_ones_are_apart_in_the_end(self, both):
        flagged, trusted = both
        found = StateViews(places=3).explain(flagged, trusted, seed=0, progress=silent)
        assert len(found.views) == 4
        assert "t-SNE" in found.views[-1].words
        for view in found.views:
            assert view.flagged.shape == (len(flagged), 2)
            assert view.trusted.shape[1] == 2
            assert torch.isfinite(view.trusted).all()
        assert all(value > 0.1 for value in found.facts.values())  # a heap of their own


class TestDictionary:
    def test_at_most_k_codes_and_none_below_zero(self):
        made = Dictionary(torch.eye(4), 2 * torch.eye(4), torch.zeros(4))
        codes = made.codes(torch.tensor([[3.0, -1, 2, 1]]), 2)
        assert codes.tolist() == [[3, 0, 2, 0]]
        assert made.codes(torch.tensor([[-3.0, -1, 2, -1]]), 3).tolist() == [[0, 0, 2, 0]]
        assert made.decoded(codes).tolist() == [[3, 0, 2, 0]]  # columns count at length one

    def test_one_feature_tells_planted_inputs(self, both):
        flagged, trusted = both
        explainer = SparseDictionary(features=64, active=4, steps=300)
        found = explainer.explain(flagged, trusted, seed=0, progress=silent)
        assert found.facts["variance explained"] > 0.5
        assert found.facts["AUROC of the best feature"] > 0.85
        (values,) = found.units.values()
        assert values.shape == (64,)

    def test_a_place_that_is_none_is_told(self, both):
        with pytest.raises(ConfigError, match="no place between the layers is named 'conv'"):
            SparseDictionary(place="conv").explain(*both, seed=0, progress=silent)


class TestMaximization:
    def test_cohen_and_variation_are_those_of_textbooks(self):
        rows, usual = torch.tensor([[3.0], [5.0]]), torch.tensor([[0.0], [4.0]])
        assert float(cohen(rows, usual)) == pytest.approx(2 / np.sqrt((1 + 4) / 2))
        picture = torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])
        assert float(variation(picture)) == pytest.approx(1.0)

    def test_pictures_drive_units_beyond_trusted_inputs(self, both):
        flagged, trusted = both
        explainer = ActivationMaximization(units=3, steps=80)
        found = explainer.explain(flagged, trusted, seed=0, progress=silent)
        assert len(found.painted) == 3
        for each in found.painted:
            assert (
                each.points.shape
                == flagged.task.embed(flagged.examples.load(np.array([0])))[0].shape
            )
            assert 0 <= float(each.points.min()) <= float(each.points.max()) <= 1
        assert max(found.facts.values()) > 1
