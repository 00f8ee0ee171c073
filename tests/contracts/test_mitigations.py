"""What every mitigation promises, over all that are discovered, in the worlds that can serve it."""

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent
from anomech.observing.observed import observe

BRIEF = {"epochs": 1, "steps": 2}
TUNED = {"relearning": BRIEF}
CHEAP = {
    **dict.fromkeys(("ban", "constrained_unlearning", "d3", "fine_tuning", "ft_sam"), TUNED),
    **dict.fromkeys(("sau", "task_arithmetic"), TUNED),
    "anp": {"masking": BRIEF, "steps": 3},
    "attribution_guided": {"tracer": "last_layer", **TUNED},
    "fine_pruning": {**TUNED, "steps": 3},
    "gradient_ascent": {"rounds": 2},
    "i_bau": {**TUNED, "climbing": 1},
    "influence_unlearning": {"iterations": 2, "steps": 2},
    "nad": {"teaching": BRIEF, **TUNED},
    "neural_cleanse_unlearning": {"inversion": {"rounds": 3, "success": 0.1}, **TUNED},
    "bti_dbf_unlearning": {"rounds": 2, "mask": {"passes": 2}, "transform": {"rounds": 2}, **TUNED},
    "rnp": {"rounds": 1, "masking": BRIEF, "steps": 3},
}
COUNT = 60


@pytest.mark.parametrize("name", plugins.names("mitigation"))
class TestMitigations:
    def test_it_keeps_every_promise(
        self, name, world, method_of, observed_of, untouched, says_what_it_is, heard, healthy
    ):
        says_what_it_is("mitigation", name)
        method = method_of("mitigation", name, CHEAP.get(name, {}), world)
        trusted = observed_of(world, "trusted", COUNT)
        suspects = observed_of(world, "planted", 10)

        def mitigate(progress=silent):
            return method.mitigate(world.task, trusted, suspects, seed=0, progress=progress)

        found = untouched(world, lambda: mitigate(heard))
        heard.check()
        healthy(found.health)
        state = world.task.state()
        for key, tensor in found.overlay.items():
            assert tensor.shape == state[key].shape
            assert torch.isfinite(tensor.double()).all()
            assert not tensor.requires_grad
        assert set(found.before) == set(found.after)
        assert all(np.isfinite(value) for value in (*found.before.values(), *found.after.values()))
        again = mitigate().overlay
        assert set(again) == set(found.overlay)
        assert all(torch.equal(again[key], tensor) for key, tensor in found.overlay.items())
        repaired = world.task.with_(found.overlay)
        batch = world.clean.load(np.arange(5))
        laid, own = world.task.respond(found.overlay, batch), repaired.respond({}, batch)
        torch.testing.assert_close(own.log_odds, laid.log_odds)

    def test_bad_input_is_one_sentence(self, name, world, method_of, one_sentence):
        method = method_of("mitigation", name, CHEAP.get(name, {}), world)
        one = observe(world.task, Subset(world.trusted, np.arange(1)))
        with pytest.raises(AnomechError) as error:
            method.mitigate(world.task, one, None, seed=0, progress=silent)
        one_sentence(error)
