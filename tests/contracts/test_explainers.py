"""What every explainer promises, over all that are discovered, in the worlds that can serve it."""

import numpy as np
import pytest
import torch

from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent

CHEAP = {
    "smallest_mask": {"search": {"steps": 5}, "compare": 4},
    "conductance": {"steps": 2, "most": 8},
    "activation_maximization": {"units": 2, "steps": 3},
    "sparse_dictionary": {"features": 12, "active": 2, "steps": 5},
    "state_views": {"places": 2, "most": 20},
}


@pytest.mark.parametrize("name", plugins.names("explainer"))
class TestExplainers:
    def test_it_keeps_every_promise(
        self, name, world, method_of, observed_of, untouched, says_what_it_is, heard, healthy
    ):
        says_what_it_is("explainer", name)
        method = method_of("explainer", name, CHEAP.get(name, {}), world)
        trusted, flagged = observed_of(world, "trusted", 80), observed_of(world, "planted", 20)

        def explain(progress=silent):
            return method.explain(flagged, trusted, seed=0, progress=progress)

        found = untouched(world, lambda: explain(heard))
        heard.check()
        healthy(found.health)
        assert found.units or found.maps is not None
        for each in found.units.values():
            assert each.ndim == 1
            assert torch.isfinite(each).all()
        if found.maps is not None:
            assert len(found.maps) == len(flagged)
        assert all(np.isfinite(value) for value in (found.facts or {}).values())
        again = explain().units
        assert all(torch.equal(again[place], each) for place, each in found.units.items())

    def test_bad_input_is_one_sentence(self, name, world, method_of, observed_of, one_sentence):
        method = method_of("explainer", name, CHEAP.get(name, {}), world)
        flagged = observed_of(world, "planted", 5)
        none = observed_of(world, "trusted", 5).take(np.zeros(0, np.int64))
        with pytest.raises(AnomechError) as error:
            method.explain(flagged, none, seed=0, progress=silent)
        one_sentence(error)
