"""ROSS and scores at moved points: the equation, steadiness, and gradients that reach pixels."""

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.attacks.score_flip import ScoreFlip
from anomech.data.images import from_arrays
from anomech.detectors.coupling_score import CouplingScore
from anomech.detectors.generalized_entropy import GeneralizedEntropy
from anomech.detectors.ross import Ross, middle_and_scatter
from anomech.kernel import plugins
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.learning.flipping import Walk, check_followed, flipped, score_hill
from anomech.observing.at_points import observed_at
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier
from anomech.tracing.last_layer import LastLayer

(IMAGES, LABELS), (OTHERS, _) = digits()
FOREIGN = np.ascontiguousarray(np.rot90(OTHERS[:60], 1, (1, 2)))
FOLLOWED = ("confidence", "energy", "mahalanobis", "generalized_entropy", "loss_level")


@pytest.fixture(scope="module")
def task():
    return ImageClassifier(DigitsVictim().surrogate())


@pytest.fixture(scope="module")
def anchors(task):
    return observe(task, from_arrays(IMAGES[:150], LABELS[:150]))


def fitted(method, anchors):
    return method.fit(anchors, seed=0, progress=silent)


def test_generalized_entropy_is_its_formula(anchors):
    found = fitted(GeneralizedEntropy(power=0.3), anchors).score(anchors, silent).score
    shares = anchors.logits.softmax(1)
    expected = (shares**0.3 * (1 - shares) ** 0.3).sum(1)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-4)
    top = fitted(GeneralizedEntropy(power=0.3, classes=2), anchors).score(anchors, silent).score
    assert (top < found).all()


def test_without_noise_and_weight_ross_is_the_detector_it_wears(anchors):
    worn = fitted(GeneralizedEntropy(), anchors).score(anchors, silent).score
    still = fitted(Ross(sigma=0.0, weight=0.0, copies=3), anchors).score(anchors, silent).score
    torch.testing.assert_close(still, worn, atol=1e-5, rtol=1e-4)


def test_ross_stretches_what_is_steady_and_supported(anchors):
    bare = fitted(Ross(weight=0.0, copies=5), anchors)
    full = fitted(Ross(weight=0.05, copies=5), anchors)
    low, high = bare.score(anchors, silent).score, full.score(anchors, silent).score
    above = -low > full.floor
    assert (-high[above] > -low[above]).all()
    torch.testing.assert_close(high[~above], low[~above])
    assert 0.9 < above.double().mean() < 1
    middle, scatter = middle_and_scatter(torch.tensor([[1.0], [2.0], [6.0]]))
    assert (middle.item(), scatter.item()) == (2.0, pytest.approx(5 / 3))


@pytest.mark.parametrize("name", FOLLOWED)
def test_scores_at_real_inputs_are_those_of_a_pass_and_lead_to_pixels(name, task, anchors):
    method = fitted(plugins.get("detector", name)(), anchors)
    images = FOREIGN[:6]
    digests = from_arrays(images).digests()
    points = task.embed(images)
    here = method.score(observed_at(task, points, images, digests), silent).score
    there = method.score(observe(task, from_arrays(images)), silent).score
    torch.testing.assert_close(here.detach(), there, atol=1e-4, rtol=1e-3)
    check_followed(task, method, images)


def test_the_published_attack_hides_foreign_images_and_accuses_normal_ones(task, anchors):
    confidence = fitted(plugins.get("detector", "confidence")(), anchors)

    def mean(images):
        return confidence.score(observe(task, from_arrays(images)), silent).score.mean().item()

    for score in ("uniform", "confidence", "energy"):
        moved = {
            way: ScoreFlip(way=way, score=score, eps=25, steps=8).perturb(
                task, images, np.zeros(len(images), int), seed=0, progress=silent
            )
            for way, images in (("hide", FOREIGN), ("accuse", OTHERS[:60]))
        }
        assert mean(moved["hide"]) < mean(FOREIGN) - 1
        assert mean(moved["accuse"]) > mean(OTHERS[:60]) + 1
        assert np.abs(moved["hide"].astype(int) - FOREIGN).max() <= 25


def test_any_followed_detector_is_flipped_by_its_own_score_and_ross_less(task, anchors):
    walk = Walk(eps=25, steps=8)
    fall = {}
    methods = {
        "coupling": CouplingScore(tracer=LastLayer()),
        "gen": GeneralizedEntropy(),
        "ross": Ross(copies=6, weight=0.0),
    }
    for name, method in methods.items():
        found = fitted(method, anchors)
        moved = flipped(
            task, FOREIGN[:20], lambda t, some, f=found: score_hill(t, f, some), "hide", walk,
            seed=0, progress=silent,
        )  # fmt: skip
        before, after = (
            found.score(observe(task, from_arrays(each)), silent).score
            for each in (FOREIGN[:20], moved)
        )
        assert after.mean() < before.mean()
        fall[name] = (before - after).mean().item()
    assert fall["ross"] < fall["gen"]


def test_what_cannot_be_followed_is_refused(task, anchors):
    method = fitted(CouplingScore(), anchors)  # traces of all layers
    with pytest.raises(CapabilityError, match="last_layer"):
        check_followed(task, method, FOREIGN[:4])
