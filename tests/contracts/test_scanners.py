"""What every scanner promises, over all that are discovered, in the worlds that can serve it."""

import numpy as np
import pytest
import torch

from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent
from anomech.roles.task import DifferentiableInputs

ZOO = {"each": 2, "training": {"epochs": 1}, "examples": 50}
CHEAP = {
    "abs": {"inversion": {"rounds": 2}, "seeds": 4, "levels": 2, "candidates": 2, "examples": 20},
    "ban": {"mask": {"passes": 2}, "steps": 2, "draws": 2, "examples": 20},
    "bti_dbf": {"mask": {"passes": 2}, "transform": {"rounds": 2}, "examples": 20},
    "deep_inspect": {"each": 2, "recover": 2, "rounds": 2},
    "feature_re": {"transform": {"rounds": 2}, "examples": 10, "batch": 10},
    "maximum_margin": {"steps": 3, "starts": 2},
    "mntd": {"zoo": ZOO, "epochs": 2},
    "neural_cleanse": {"inversion": {"rounds": 3}, "examples": 20},
    "parameter_shift": {"rounds": 3, "examples": 20},
    "tabor": {"inversion": {"rounds": 3}, "examples": 20},
    "ulp": {"zoo": ZOO, "epochs": 2},
    "universal_perturbation": {"sizes": {"doublings": 1}, "climb": {"steps": 2}, "examples": 20},
    "universal_warp": {
        "sizes": {"doublings": 1},
        "climb": {"steps": 2},
        "examples": 20,
        "smallest": 8,
    },
}
"""Options that finish in a moment."""

COUNT = 60


@pytest.mark.parametrize("name", plugins.names("scanner"))
class TestScanners:
    def test_it_keeps_every_promise(
        self, name, world, method_of, observed_of, untouched, says_what_it_is, heard, healthy
    ):
        says_what_it_is("scanner", name)
        method = method_of("scanner", name, CHEAP.get(name, {}), world)
        trusted = observed_of(world, "trusted", COUNT)

        def scan(seed=0, progress=silent):
            return method.scan(world.task, trusted, seed=seed, progress=progress)

        found = untouched(world, lambda: scan(progress=heard))
        heard.check()
        healthy(found.health)
        assert found.groups.dtype == torch.int64
        assert found.groups.shape == found.statistic.shape
        assert len(found.groups.unique()) == len(found.groups)
        assert found.statistic.dtype == torch.float64
        assert torch.isfinite(found.statistic).all()
        assert set(found.candidates) <= set(found.groups.tolist())
        assert found.evaluations >= 0
        assert all(np.isfinite(value) for value in (found.facts or {}).values())
        assert torch.equal(scan().statistic, found.statistic)
        if DifferentiableInputs in world.task.provides:
            points = world.task.embed(trusted.examples.load(np.arange(3)))
            for candidate in found.candidates.values():
                assert candidate.apply(points).shape == points.shape

    def test_bad_input_is_one_sentence(self, name, world, method_of, one_sentence):
        method = method_of("scanner", name, CHEAP.get(name, {}), world)
        if not method.needs_examples:
            return
        with pytest.raises(AnomechError) as error:
            method.scan(world.task, None, seed=0, progress=silent)
        one_sentence(error)
