"""What every purifier promises, over all that are discovered, in the worlds that can serve it."""

import numpy as np
import pytest
import torch

from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.observing.purified import Purified


@pytest.mark.parametrize("name", plugins.names("purifier"))
class TestPurifiers:
    def test_it_keeps_every_promise(
        self, name, world, method_of, observed_of, untouched, says_what_it_is
    ):
        says_what_it_is("purifier", name)
        method = method_of("purifier", name, {}, world)
        trusted = observed_of(world, "trusted", 40)
        batch = world.clean.load(np.arange(6))
        before = np.array(batch)

        def purified():
            fitted = method.fit(world.task, trusted, seed=0, progress=silent)
            return fitted, fitted.purified(world.task, batch)

        fitted, clean = untouched(world, purified)
        assert np.array_equal(before, batch)
        assert clean.shape == batch.shape
        assert clean.dtype == batch.dtype
        assert np.array_equal(clean, purified()[1])
        assert np.isfinite([fitted.evaluations, *fitted.facts.values()]).all()
        order = [4, 1]
        assert np.array_equal(fitted.purified(world.task, batch[order]), clean[order])
        behind = Purified(world.task, fitted)
        answers = world.task.respond({}, clean).answers
        assert torch.equal(behind.respond({}, batch).answers, answers)
        assert torch.equal(observe(behind, world.clean).answers[:6], answers.cpu())
