"""The terms of robust training: each is what its equation says, and outliers are looked through."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from training import digits

from anomech.architectures.digits import Digits
from anomech.data.images import from_arrays
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import silent
from anomech.learning.pixels import as_float
from anomech.learning.robust import Adversary, divergence, from_uniform
from anomech.learning.training import Recipe, initialize
from anomech.roles.attack import Batch
from anomech.trainers._family import Terms, checked, drawn, objective
from anomech.trainers.halo import Halo
from anomech.trainers.outlier_exposure import OutlierExposure
from anomech.trainers.standard import Standard

IMAGES, LABELS = (column[:300] for column in digits()[0])
FOREIGN = np.ascontiguousarray(255 - IMAGES[:100])
RECIPE = Recipe(epochs=12, batch=50, peak=0.1, augment="none")
TERMS = Terms(exposure=2.0, robust=3.0, helper=0.5, adversary=Adversary(eps=20, steps=3))


def network(seed=0):
    made = Digits().build(classes=10, channels=1)
    initialize(made, seed)
    return made


def batch():
    labels = torch.from_numpy(LABELS[:20])
    return Batch(as_float(IMAGES[:20]), labels, np.arange(20), numpy_generator(0, "step"))


def loss_of(terms, helper=None):
    return objective(terms, FOREIGN, RECIPE, helper)(network().train(), batch()).item()


def test_terms_add_up_to_their_equation():
    model, helper, given = network(), network(1).eval(), batch()
    outliers = drawn(FOREIGN, 20, RECIPE, given)
    inputs = torch.cat([given.inputs, outliers])
    start = torch.from_numpy(given.rng.uniform(-1, 1, tuple(inputs.shape)).astype(np.float32))
    with torch.no_grad():
        logits = model(inputs)
    moved = TERMS.adversary.move(model, inputs, lambda z: divergence(logits, z), start)
    with torch.no_grad():
        apart = divergence(logits, model(moved))
        plain = functional.cross_entropy(logits[:20], given.labels)
        exposed = from_uniform(logits[20:]).mean()
        further = model(inputs[:20] + 2 * (moved[:20] - inputs[:20]))
        helped = functional.cross_entropy(further, helper(moved[:20]).argmax(1))
    expected = plain + 2 * exposed + 3 * (apart[:20].mean() + 2 * apart[20:].mean()) + 0.5 * helped
    assert loss_of(TERMS, helper) == pytest.approx(expected.item(), rel=1e-4)


def test_terms_of_weight_zero_are_left_out():
    plain = loss_of(Terms())
    with torch.no_grad():
        given = batch()
        logits = network()(given.inputs)
    assert plain == pytest.approx(functional.cross_entropy(logits, given.labels).item(), rel=1e-5)
    assert loss_of(replace(TERMS, helper=0.0)) > loss_of(Terms(exposure=2.0)) > plain


def test_who_was_shown_outliers_says_nothing_about_others():
    examples, outliers = from_arrays(IMAGES, LABELS), from_arrays(FOREIGN)
    given = {"recipe": RECIPE, "seed": 0, "progress": silent}
    others = as_float(np.ascontiguousarray(255 - IMAGES[200:]))
    surprise = []
    for trainer, shown in ((Standard(), None), (OutlierExposure(), outliers)):
        model = network()
        model.load_state_dict(trainer.train(model, examples, shown, **given).weights)
        with torch.no_grad():
            surprise.append(from_uniform(model(others)).mean().item())
            assert (model(as_float(IMAGES)).argmax(1).numpy() == LABELS).mean() > 0.8
    assert surprise[1] < np.log(10) + 0.3 < surprise[0]


def test_outliers_that_are_examples_are_left_out_and_told():
    examples = from_arrays(IMAGES, LABELS)
    mixed = from_arrays(np.concatenate([FOREIGN, IMAGES[:7]]))
    found = checked(examples, mixed, exposed=True)
    assert len(found.outliers) == 100
    assert "7 of 107 outliers have the content of a training example" in found.health.problems[0]
    assert checked(examples, from_arrays(FOREIGN), exposed=True).health.problems == ()
    with pytest.raises(DataError, match="every outlier is a training example"):
        checked(examples, from_arrays(IMAGES[:5]), exposed=True)


def test_what_cannot_be_learned_from_is_refused():
    examples, outliers = from_arrays(IMAGES, LABELS), from_arrays(FOREIGN)
    given = {"recipe": RECIPE, "seed": 0, "progress": silent}
    with pytest.raises(ConfigError, match="learns from outliers"):
        Halo().train(network(), examples, None, **given)
    with pytest.raises(DataError, match="one class only"):
        Standard().train(network(), from_arrays(IMAGES, 0 * LABELS), None, **given)
    small = from_arrays(np.zeros((4, 6, 6, 1), np.uint8))
    with pytest.raises(DataError, match="scale them to one size"):
        Halo().train(network(), examples, small, **given)
    assert len(outliers) == 100
