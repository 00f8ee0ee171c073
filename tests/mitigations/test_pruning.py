"""Pruning takes the units it says, no more than trusted accuracy bears, and they stay away."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from anomech.kernel.errors import DataError
from anomech.kernel.types import silent
from anomech.learning.masks import holding, masked
from anomech.mitigations._pruning import pruned_within
from anomech.mitigations.clp import Clp
from anomech.mitigations.fine_pruning import FinePruning
from anomech.observing.observed import observe


@pytest.fixture
def trusted(digits_world):
    return observe(digits_world.task, digits_world.trusted)


def test_the_channel_that_amplifies_most_goes(digits_world, trusted):
    task = digits_world.task
    weight = task.state()["conv2.weight"].clone()
    weight[4] *= 40
    loud = replace(task, model=task.with_({"conv2.weight": weight}).model)
    found = Clp().mitigate(loud, trusted, None, seed=0, progress=silent)
    assert found.health.facts == {"units pruned": 1.0}
    assert set(found.overlay) == {"bn2.weight", "bn2.bias"}
    assert found.overlay["bn2.weight"][4] == 0
    assert (found.overlay["bn2.weight"] == 0).sum() == 1


def test_pruning_ends_where_accuracy_would_fall():
    units = [type("U", (), {"place": "a", "gain": "w", "shift": "", "count": 10})()]
    state = {"w": torch.ones(10)}
    scores = {"a": torch.arange(10.0)}
    found = pruned_within(
        state,
        units,
        scores,
        lambda overlay: float(overlay.get("w", state["w"]).sum()) / 10,
        lost=0.35,
        most=1.0,
        steps=10,
        cost=1,
        progress=silent,
    )
    assert found.count == 3
    assert found.overlay["w"].tolist() == [1.0] * 7 + [0.0] * 3


def test_what_was_pruned_stays_away_while_the_rest_is_tuned(digits_world, trusted):
    found = FinePruning(most=0.5, tolerance=0.5).mitigate(
        digits_world.task, trusted, None, seed=0, progress=silent
    )
    gone = found.overlay["bn2.weight"] == 0
    assert gone.sum() == found.health.facts["units pruned"] > 0
    assert (found.overlay["bn2.bias"][gone] == 0).all()
    with pytest.raises(DataError, match="--suspects RUN"):
        FinePruning(by="suspects").mitigate(
            digits_world.task, trusted, None, seed=0, progress=silent
        )


def test_rows_that_are_held_are_zero_and_others_free(digits_world):
    task = digits_world.task
    units = task.units(digits_world.clean.load(np.arange(2)))
    mask = torch.ones(8)
    mask[1] = 0
    into = holding(units, masked(task.state(), units, {"bn1": mask}))
    assert into("bn1.bias", torch.ones(8)).tolist() == mask.tolist()
    assert into("conv1.weight", torch.ones(3)).tolist() == [1, 1, 1]
