"""What every trainer promises, over all that are discovered."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.data.digits import load_digits
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent
from anomech.learning.training import Recipe

RECIPE = Recipe(epochs=2, batch=20, peak=0.1, augment="none")
IMAGES, LABELS = (column[:100] for column in load_digits())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(36, 10)
    )


@pytest.mark.parametrize("name", plugins.names("trainer"))
class TestTrainers:
    def test_it_keeps_every_promise(self, name, network, says_what_it_is, heard, healthy):
        trainer = says_what_it_is("trainer", name)()
        before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        flags = {key: module.training for key, module in network.named_modules()}
        states = torch.get_rng_state(), np.random.get_state()[1].copy()

        def train(seed=0, progress=silent):
            examples = from_arrays(IMAGES, LABELS)
            return trainer.train(
                network, examples, None, recipe=RECIPE, seed=seed, progress=progress
            )

        found = train(progress=heard)
        heard.check()
        healthy(found.health)
        for key, tensor in network.state_dict().items():
            assert torch.equal(tensor, before[key]), key
        assert flags == {key: module.training for key, module in network.named_modules()}
        assert all(parameter.grad is None for parameter in network.parameters())
        assert torch.equal(states[0], torch.get_rng_state())
        assert np.array_equal(states[1], np.random.get_state()[1])
        assert set(found.weights) == set(before)
        assert not torch.equal(found.weights["3.weight"], before["3.weight"])
        for values in found.facts.values():
            assert len(values) == RECIPE.epochs
            assert np.isfinite(values).all()
        again, other = train().weights, train(seed=1).weights
        assert all(torch.equal(again[key], tensor) for key, tensor in found.weights.items())
        assert not torch.equal(other["3.weight"], again["3.weight"])

    def test_bad_input_is_one_sentence(self, name, network, one_sentence):
        trainer = plugins.get("trainer", name)()
        with pytest.raises(AnomechError) as error:
            trainer.train(
                network, from_arrays(IMAGES), None, recipe=RECIPE, seed=0, progress=silent
            )
        one_sentence(error)
