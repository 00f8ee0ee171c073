"""A few trusted examples of another kind in a class: found whole, said, left out if asked."""

import numpy as np
import pytest
import torch

from anomech.architectures.digits import Digits
from anomech.attacks.badnets import Badnets
from anomech.attribution.identities import FEWEST
from anomech.audit.auditor import Auditor
from anomech.audit.judge.trusted import DOUBTFUL, split_trusted
from anomech.audit.probing.minority import minority
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, train
from anomech.tasks.image_classifier import ImageClassifier

KINDS, EACH, WIDTH = 7, 80, 24


def classes(each=EACH, seed=0):
    """Features of classes that are each one cloud, and their classes."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.arange(KINDS).repeat(each)
    means = 4 * torch.randn(KINDS, WIDTH, generator=generator)
    return means[kinds] + torch.randn(len(kinds), WIDTH, generator=generator), kinds


@pytest.mark.parametrize("count", [5, 8, 16])
def test_a_small_group_is_found_whole(count):
    features, kinds = classes()
    places = torch.nonzero(kinds == 2)[:count, 0]
    features[places] += 9 / WIDTH**0.5 * torch.ones(WIDTH)
    found = minority(features, kinds, 0)
    assert found.kind == 2
    assert found.size == EACH
    assert found.places.tolist() == places.tolist()
    assert found.farther > 1.9


@pytest.mark.parametrize("alive", [(), (3,)])
def test_features_that_never_vary_say_nothing(alive):
    kinds = torch.arange(KINDS).repeat(EACH)
    features = torch.zeros(len(kinds), WIDTH)
    for kind in alive:
        features[kinds == kind] = torch.rand(
            EACH, WIDTH, generator=torch.Generator().manual_seed(0)
        )
    assert minority(features, kinds, 0) is None


def test_of_many_classes_some_measure_each():
    generator = torch.Generator().manual_seed(1)
    kinds = torch.arange(60).repeat(FEWEST)
    means = 4 * torch.randn(60, WIDTH, generator=generator)
    features = means[kinds] + torch.randn(len(kinds), WIDTH, generator=generator)
    assert minority(features, kinds, 0) is None
    places = torch.nonzero(kinds == 41)[:6, 0]
    features[places] += 12 / WIDTH**0.5 * torch.ones(WIDTH)
    found = minority(features, kinds, 0)
    assert (found.kind, found.places.tolist()) == (41, places.tolist())


@pytest.mark.parametrize("seed", range(8))
def test_classes_of_one_kind_hold_none(seed):
    assert minority(*classes(seed=seed), 0) is None


def test_classes_that_all_fall_in_two_hold_none():
    features, kinds = classes()
    features[::2] += 9 / WIDTH**0.5 * torch.ones(WIDTH)
    assert minority(features, kinds, 0) is None


def test_small_classes_and_features_that_are_not_finite_say_nothing():
    features, kinds = classes(each=FEWEST - 1)
    features[torch.nonzero(kinds == 2)[:8, 0]] += 3
    assert minority(features, kinds, 0) is None
    features, kinds = classes()
    features[0, 0] = float("inf")
    assert minority(features, kinds, 0) is None


def prints(count, rng, prototypes):
    """Noisy prints of ten pictures, so that every class is of one kind."""
    labels = rng.permutation(np.arange(count) % len(prototypes))
    noisy = prototypes[labels] + rng.normal(0, 30, (count, 8, 8, 1))
    return noisy.clip(0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def world(examples_of):
    """A network with a backdoor, trusted prints of which ten are poison, and triggered prints."""
    rng = np.random.default_rng(3)
    prototypes = rng.uniform(30, 180, (10, 8, 8, 1))
    attack = Badnets(ratio=0.1, size=2)
    taught = attack.poison(*prints(1000, rng, prototypes), seed=0)
    recipe = Recipe(epochs=6, batch=50, peak=0.1, augment="none")
    model = train(
        Digits().build(classes=10, channels=1), taught.inputs, taught.labels, recipe, seed=0
    )
    images, labels = prints(400, rng, prototypes)
    places = np.flatnonzero(labels != 0)[:10]
    images[places], labels[places] = attack.stamp(images[places]), 0
    later, own = prints(300, rng, prototypes)
    planted = examples_of(attack.stamp(later[own != 0]), None, "planted", blind=True)
    return ImageClassifier(model), examples_of(images, labels, "t"), places, planted


def test_poison_in_the_trusted_set_is_said_and_left_out_if_asked(world):
    task, trusted, places, _ = world
    ids = {trusted.ids[place] for place in places}
    parts = {
        doubtful: split_trusted(
            task,
            trusted,
            share=0.5,
            most=2000,
            seed=0,
            progress=silent,
            doubtful=doubtful,
        )
        for doubtful in ("keep", "leave_out")
    }
    assert set(parts["keep"].minority.places.tolist()) == set(places.tolist())
    assert DOUBTFUL not in parts["keep"].left_out.values()
    left = parts["leave_out"]
    assert {name for name, why in left.left_out.items() if why == DOUBTFUL} == ids
    used = {*left.anchors.examples.ids, *left.calibration.examples.ids}
    assert not ids & used
    assert not {trusted.ids[place] for place in left.judged.tolist()} & ids


def test_leaving_the_group_out_wins_detection_back(world):
    task, trusted, _, planted = world
    share = {}
    for doubtful in ("keep", "leave_out"):
        auditor = Auditor(detector="mahalanobis", doubtful=doubtful)
        fitted = auditor.fit(task, trusted)
        (found,) = [each for each in fitted.findings if each.code == "trusted-minority"]
        assert found.severity == "medium"
        assert f"doubtful={'leave_out' if doubtful == 'keep' else 'keep'}" in found.action
        rows = fitted.score(planted)
        share[doubtful] = np.mean([row.decision == "flag" for row in rows])
    assert share["leave_out"] > share["keep"] + 0.3


def test_a_word_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="doubtful is one of keep, leave_out"):
        Auditor(doubtful="drop")
