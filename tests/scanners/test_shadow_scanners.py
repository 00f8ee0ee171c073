"""Shadows are trained once, differ by a trigger, and a classifier learns from them."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.descent import Relearning
from anomech.observing.observed import observe
from anomech.scanners._meta import scanned
from anomech.scanners._shadows import ShadowZoo, shadows
from anomech.scanners.mntd import Mntd
from anomech.scanners.ulp import Ulp


@pytest.fixture(scope="module")
def trusted(digits_world):
    return observe(digits_world.task, Subset(digits_world.trusted, np.arange(200)))


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    training = Relearning(epochs=6, rate=0.05)
    return ShadowZoo(each=3, training=training, folder=str(tmp_path_factory.mktemp("zoo")))


@pytest.fixture(scope="module")
def made(digits_world, trusted, zoo):
    return shadows(digits_world.task, trusted, zoo, seed=0, progress=silent)


def test_shadows_answer_like_networks_that_were_trained(digits_world, trusted, made):
    batch, labels = trusted.examples.load(np.arange(200)), trusted.examples.labels
    for overlay in made.clean:
        answers = digits_world.task.respond(overlay, batch).answers.numpy()
        assert (answers == labels).mean() > 0.7
    one, two = made.clean[:2]
    assert not torch.equal(one["conv1.weight"], two["conv1.weight"])


def test_they_are_kept_and_found_again(digits_world, trusted, zoo, made):
    again = shadows(digits_world.task, trusted, zoo, seed=0, progress=silent)
    assert again.evaluations == 0 < made.evaluations
    for kind in ("clean", "planted"):
        for one, two in zip(getattr(made, kind), getattr(again, kind), strict=True):
            assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("method", [Mntd, Ulp])
def test_a_classifier_of_networks_judges_the_model_as_a_whole(
    method, digits_world, trusted, zoo, made
):
    scan = method(zoo=zoo, epochs=3).scan(digits_world.task, trusted, seed=0, progress=silent)
    assert scan.names == ("the model",)
    assert 0 <= scan.facts["AUROC on held-out shadows"] <= 1


def test_the_statistic_counts_deviations_of_clean_shadows():
    scan = scanned(5.0, [1.0, 3.0], [4.0, 0.0], 0.0)
    assert float(scan.statistic) == pytest.approx((5 - 2) / 2**0.5)
    assert scan.facts["AUROC on held-out shadows"] == 0.5


def test_too_few_examples_are_refused(digits_world):
    few = observe(digits_world.task, Subset(digits_world.trusted, np.arange(20)))
    with pytest.raises(DataError, match="give 50 at least"):
        Mntd().scan(digits_world.task, few, seed=0, progress=silent)
