"""Screens that part each label in two: on rows whose parts are known."""

import numpy as np
import pytest
import torch

from anomech.attribution.identities import variation
from anomech.kernel.types import Response, silent
from anomech.observing.observed import Observed
from anomech.roles.task import Activations, Features, Logits
from anomech.screens.activation_clustering import ActivationClustering, clustered, whitened
from anomech.screens.agpd import dispersed
from anomech.screens.confident_learning import ConfidentLearning
from anomech.screens.functional_attribution import together, widest
from anomech.screens.loss_isolation import LossIsolation
from anomech.screens.mean_discrepancy import MeanDiscrepancy, discrepancy, holm
from anomech.screens.scan import Scan
from anomech.screens.two_identities import TwoIdentities
from anomech.screens.uniqueness import dimensionality

LABELS, EACH, POISON = 6, 40, 15
RNG = np.random.default_rng(5)


class Told:
    """A task that knows what labels are called."""

    kind = "toy"
    provides = frozenset({Features, Logits, Activations})

    def label_words(self, labels):
        return [f"class {label}" for label in labels]

    def groups(self, answers):
        return answers

    def agrees(self, answers, labels):
        return answers == torch.from_numpy(labels)


class Rows:
    """Examples that are nothing but a number of them."""

    def __init__(self, count):
        self.count, self.labels = count, None

    def __len__(self):
        return self.count


def made(poison=POISON, away=6.0, seed=0, each=EACH):
    """Labels of one spread; some of label 2 are of another identity. Rows, labels and truth."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(LABELS), each)
    rows = rng.normal(size=(len(labels), 8)) + 8 * np.eye(LABELS, 8)[labels]
    truth = np.zeros(len(labels), bool)
    truth[2 * each : 2 * each + poison] = True
    rows[truth, 7] += away
    features = torch.from_numpy(rows)
    logits = features[:, :LABELS]
    answers = torch.from_numpy(labels)
    odds = logits.gather(1, answers[:, None])[:, 0]
    return Observed(Told(), Rows(len(rows)), Response(answers, odds, -odds, logits, features)), (
        labels,
        truth,
    )


def test_two_clusters_are_found_and_the_smaller_is_suspected():
    observed, (labels, truth) = made(poison=10)
    found = ActivationClustering(components=4).screen(
        observed, labels, None, seed=0, progress=silent
    )
    assert (found.suspects.numpy() == truth).mean() > 0.97
    assert found.suspicion[truth].min() > found.suspicion[2 * EACH : 3 * EACH][10:].max()
    assert found.facts["silhouette of class 2"] > found.facts["silhouette of class 0"] + 0.05


def test_rules_by_size_are_blind_where_poison_is_the_larger_part():
    observed, (labels, truth) = made(poison=30)
    for rule in ("relative_size", "silhouette"):
        found = ActivationClustering(components=1, rule=rule).screen(
            observed, labels, None, seed=0, progress=silent
        )
        assert not bool(found.suspects[truth].any())


def test_whitened_rows_have_variance_one_and_clusters_are_those_of_lloyd():
    rows = torch.from_numpy(RNG.normal(size=(50, 6)) * np.arange(1, 7))
    white = whitened(rows, 4)
    assert white.shape == (50, 4)
    torch.testing.assert_close(white.T @ white / 50, torch.eye(4).double())
    apart = torch.cat([torch.zeros(5, 2), torch.ones(20, 2)]).double()
    small, lean = clustered(apart, 0)
    assert small.tolist() == [True] * 5 + [False] * 20
    assert lean[:5].tolist() == pytest.approx([1.0] * 5)


def test_scan_finds_the_label_with_two_identities():
    observed, (labels, truth) = made()
    found = Scan().screen(observed, labels, None, seed=0, progress=silent)
    assert (found.suspects.numpy() == truth).mean() > 0.98
    clean, (labels, _) = made(poison=0)
    assert not bool(Scan().screen(clean, labels, None, seed=0, progress=silent).suspects.any())


def test_scan_asks_trusted_examples_which_group_is_honest():
    observed, (labels, truth) = made(poison=30)
    trusted, _ = made(poison=0, seed=1)
    found = Scan().screen(observed, labels, trusted, seed=0, progress=silent)
    assert (found.suspects.numpy() == truth).mean() > 0.98


def test_too_few_labels_are_a_problem_and_no_verdict():
    observed, (labels, _) = made()
    two = observed.take(np.flatnonzero(labels < 2))
    found = Scan().screen(two, labels[labels < 2], None, seed=0, progress=silent)
    assert "5 are needed" in found.health.problems[0]
    assert not bool(found.suspects.any())


@pytest.mark.parametrize("poison", [8, 30, 60])
def test_two_identities_are_told_by_the_variation_of_other_labels(poison):
    observed, (labels, truth) = made(poison=poison, each=80)
    found = TwoIdentities().screen(observed, labels, None, seed=0, progress=silent)
    assert (found.suspects.numpy() == truth).mean() > 0.99
    assert found.suspicion.numpy()[truth].min() > np.median(found.suspicion.numpy()[~truth])
    clean, (labels, _) = made(poison=0, each=80)
    none = TwoIdentities().screen(clean, labels, None, seed=0, progress=silent)
    assert not bool(none.suspects.any())


def test_trusted_examples_tell_which_identity_is_honest():
    observed, (labels, truth) = made(poison=30, each=80)
    trusted, _ = made(poison=80, seed=1, each=80)  # who trusts the far identity suspects the other
    found = TwoIdentities().screen(observed, labels, trusted, seed=0, progress=silent)
    assert (found.suspects.numpy() == (labels == 2) & ~truth).mean() > 0.99


def test_two_identities_say_what_they_cannot_compare():
    observed, (labels, _) = made(each=20)
    found = TwoIdentities().screen(observed, labels, None, seed=0, progress=silent)
    assert "5 labels of 25 examples" in found.health.problems[0]
    assert not bool(found.suspects.any())


def test_variation_is_that_within_kinds():
    kinds = torch.arange(4).repeat_interleave(400)
    rows = torch.from_numpy(RNG.normal(size=(1600, 3)) @ np.diag([1.0, 2.0, 0.5]))
    rows += 10 * torch.from_numpy(RNG.normal(size=(4, 3)))[kinds]
    found = variation(rows, kinds, rows.mean(dim=0))
    # One per cent of the mean variance, which kinds inflate, is added.
    floor = 0.01 * float((rows - rows.mean(dim=0)).square().mean())
    expected = torch.diag(torch.tensor([1.0, 4.0, 0.25]).double()) + floor * torch.eye(3)
    torch.testing.assert_close(found, expected, atol=0.35, rtol=0.1)


def test_dispersion_of_two_directions():
    east, north = torch.eye(2).double()
    rows = torch.stack([east] * 6 + [north] * 4)
    spread, close = dispersed(rows, east)
    assert spread == pytest.approx(1.0)
    assert close.tolist() == pytest.approx([0.0] * 6 + [1.0] * 4)
    spread, _ = dispersed(torch.stack([east] * 6), east)
    assert spread == 0.0


def test_confident_learning_finds_a_wrong_label():
    observed, (labels, _) = made(poison=0)
    wrong = labels.copy()
    wrong[[3, 90]] = 5
    found = ConfidentLearning().screen(observed, wrong, None, seed=0, progress=silent)
    assert np.flatnonzero(found.suspects.numpy()).tolist() == [3, 90]
    assert set(found.suspicion.topk(2).indices.tolist()) == {3, 90}


def test_losses_are_ranked_from_the_lowest():
    observed, (labels, _) = made(poison=0)
    found = LossIsolation(share=0.05).screen(observed, labels, None, seed=0, progress=silent)
    losses = torch.nn.functional.cross_entropy(
        observed.logits, torch.from_numpy(labels), reduction="none"
    )
    assert int(found.suspects.sum()) == 12
    assert losses[found.suspects].max() <= losses[~found.suspects].min()


def test_own_directions_are_wholly_ones_own():
    rows = torch.cat([torch.eye(3), torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])]).double()
    assert dimensionality(rows).tolist() == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.0])


def test_a_discrepancy_is_unbiased_and_its_side_is_that_of_poison():
    observed, (labels, truth) = made(poison=20)
    trusted, _ = made(poison=0, seed=2)
    found = MeanDiscrepancy(permutations=200).screen(
        observed, labels, trusted, seed=0, progress=silent
    )
    assert found.suspects[truth].double().mean() > 0.9
    assert found.suspects[~truth].double().mean() < 0.1
    assert found.facts["p-value of class 2"] < 0.01
    values = []
    for seed in range(40):
        rows = torch.from_numpy(np.random.default_rng(seed).normal(size=(30, 2)))
        gram = torch.exp(-torch.cdist(rows, rows).square()).fill_diagonal_(0)
        values.append(discrepancy(gram, torch.arange(30), 12))
    assert abs(np.mean(values)) < 3 * np.std(values) / 40**0.5
    assert holm({"a": 0.01, "b": 0.02, "c": 0.9}, 0.05) == ["a", "b"]


def test_what_is_shared_beyond_trusted_examples_is_one_direction():
    usual = torch.from_numpy(RNG.normal(size=(60, 12))) * 0.1
    rest = torch.from_numpy(RNG.normal(size=(80, 12))) * 0.1
    rest[:20, 4] += 1.0
    assert float(widest(rest, usual)[4].abs()) > 0.95
    labels, known = np.zeros(80, np.int64), np.zeros(60, np.int64)
    mine, theirs, excess = together(rest, labels, usual, known, 0)
    assert mine[:20].min() > mine[20:].max()
    assert mine[:20].min() > theirs.max()
    assert excess[0] == pytest.approx(0.25, abs=0.05)
    rest[:20, 4] -= 1.0
    mine, theirs, excess = together(rest, labels, usual, known, 0)
    assert excess[0] < 0.01


def test_attribution_finds_the_poison_of_a_training_set(digits_world):
    from anomech.data.images import from_arrays
    from anomech.kernel.config import build
    from anomech.observing.observed import observe
    from anomech.screens.functional_attribution import FunctionalAttribution

    task = digits_world.task
    trusted = observe(task, digits_world.trusted)
    honest, fired = digits_world.clean, digits_world.planted
    taken = [each.load(np.arange(60)) for each in (honest, fired)]
    answers = [observe(task, each).answers[:60].numpy() for each in (honest, fired)]
    labels = np.concatenate([answers[0], np.zeros(60, np.int64)])
    training = observe(task, from_arrays(np.concatenate(taken), labels))
    cheap = {"tracer": {"use": "gradient", "features": 64}, "twins": {"rungs": 2, "steps": 10}}
    screen = build(
        FunctionalAttribution, {"detector": {"use": "functional_attribution", **cheap}}, "screen"
    )
    found = screen.screen(training, labels, trusted, seed=0, progress=silent)
    honest, poison = found.suspicion[:60], found.suspicion[60:]
    assert float((poison[:, None] > honest).double().mean()) > 0.95
    assert float(found.suspects[:60].double().mean()) < 0.1
