"""What every screen promises, over all that are discovered, in the worlds that can serve it."""

import numpy as np
import pytest
import torch

from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent

CHEAP = {
    "asset": {"rounds": 3, "inner": 5, "batch": 16},
    "exclusionary_reclassification": {"training": {"epochs": 1}},
    "functional_attribution": {
        "detector": {
            "use": "functional_attribution",
            "tracer": {"use": "gradient", "features": 16, "parts": 3},
            "twins": {"rungs": 2, "steps": 6, "batch": 32},
        }
    },
}
COUNT = 60


def labels_of(world):
    """Labels as training saw them, by their first entry."""
    given = np.asarray(world.trusted.labels)[:COUNT]
    return given if given.ndim == 1 else given[:, 0]


@pytest.mark.parametrize("name", plugins.names("screen"))
class TestScreens:
    def test_it_keeps_every_promise(
        self, name, world, method_of, observed_of, untouched, says_what_it_is, heard, healthy
    ):
        says_what_it_is("screen", name)
        labels = labels_of(world)
        method = method_of("screen", name, CHEAP.get(name, {}), world)
        training = observed_of(world, "trusted", COUNT)

        trusted = training if method.needs_trusted else None

        def screen(progress=silent):
            return method.screen(training, labels, trusted, seed=0, progress=progress)

        found = untouched(world, lambda: screen(heard))
        heard.check()
        healthy(found.health)
        assert found.suspicion.shape == (COUNT,)
        assert found.suspicion.dtype == torch.float64
        assert torch.isfinite(found.suspicion).all()
        if found.suspects is not None:
            assert found.suspects.dtype == torch.bool
            assert found.suspects.shape == (COUNT,)
        assert all(np.isfinite(value) for value in (found.facts or {}).values())
        again = screen()
        assert torch.equal(again.suspicion, found.suspicion)

    def test_bad_input_is_one_sentence(self, name, world, method_of, observed_of, one_sentence):
        method = method_of("screen", name, CHEAP.get(name, {}), world)
        training, labels = observed_of(world, "trusted", COUNT), labels_of(world)
        with pytest.raises(AnomechError) as error:
            method.screen(training, labels[:-1], None, seed=0, progress=silent)
        one_sentence(error)
