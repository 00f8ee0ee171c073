"""What every trainer promises, over all that are discovered."""

import json

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
FOREIGN = 255 - IMAGES[:50]


class Memory:
    """Keeps a training in memory, as JSON would give it back."""

    def __init__(self):
        self.kept, self.parts = None, {}

    def read(self):
        return self.kept

    def write(self, kept):
        self.kept = kept._replace(facts=json.loads(json.dumps(kept.facts)))

    def part(self, name):
        return self.parts.setdefault(name, Memory())


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
            outliers = from_arrays(FOREIGN) if trainer.exposed else None
            return trainer.train(
                network, examples, outliers, recipe=RECIPE, seed=seed, progress=progress
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
        wrong = None if trainer.exposed else from_arrays(FOREIGN)
        with pytest.raises(AnomechError, match="outliers") as error:
            trainer.train(
                network,
                from_arrays(IMAGES, LABELS),
                wrong,
                recipe=RECIPE,
                seed=0,
                progress=silent,
            )
        one_sentence(error)

    def test_a_killed_training_goes_on_to_the_same_numbers(self, name, network):
        trainer, kept = plugins.get("trainer", name)(), Memory()
        given = (
            network,
            from_arrays(IMAGES, LABELS),
            from_arrays(FOREIGN) if trainer.exposed else None,
        )
        whole = trainer.train(*given, recipe=RECIPE, seed=0, progress=silent)

        def stop(stage, done, total):
            if stage == "training" and done > total // 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            trainer.train(*given, recipe=RECIPE, seed=0, progress=stop, keep=kept)
        seen = []
        again = trainer.train(
            *given,
            recipe=RECIPE,
            seed=0,
            progress=lambda stage, done, total: seen.append((stage, done, total)),
            keep=kept,
        )
        stage, done, total = seen[0]
        assert (stage, done) == ("training", total // 2 + 1)
        assert again.facts == whole.facts
        for key, tensor in whole.weights.items():
            assert torch.equal(tensor, again.weights[key]), key
