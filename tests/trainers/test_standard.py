"""Standard training is the training room's, and tells the loss of each epoch."""

import numpy as np
import pytest
import torch
from training import digits

from anomech.architectures.digits import Digits
from anomech.data.images import from_arrays
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe, train
from anomech.trainers.standard import Standard

IMAGES, LABELS = (column[:400] for column in digits()[0])
RECIPE = Recipe(epochs=3, batch=40, peak=0.1, augment="none")


def test_it_trains_as_the_training_room_does_and_the_loss_falls():
    network = Digits().build(classes=10, channels=1)
    found = Standard().train(
        network, from_arrays(IMAGES, LABELS), None, recipe=RECIPE, seed=3, progress=silent
    )
    same = train(Digits().build(classes=10, channels=1), IMAGES, LABELS, RECIPE, seed=3)
    for name, tensor in same.state_dict().items():
        assert torch.equal(found.weights[name], tensor), name
    assert found.facts["loss"][0] == pytest.approx(np.log(10), rel=0.15)
    assert found.facts["loss"][-1] < found.facts["loss"][0]


def test_what_it_cannot_use_is_refused():
    examples = from_arrays(IMAGES, LABELS)
    network = Digits().build(classes=10, channels=1)
    with pytest.raises(ConfigError, match="no use for outliers"):
        Standard().train(network, examples, examples, recipe=RECIPE, seed=0, progress=silent)
    with pytest.raises(DataError, match="examples with labels"):
        Standard().train(network, from_arrays(IMAGES), None, recipe=RECIPE, seed=0, progress=silent)
