"""p-values by clean networks hold their level, and only ever extrapolate so far."""

import numpy as np
import pytest
import torch

from anomech.calibration import nulls
from anomech.calibration.models import from_known
from anomech.calibration.nulls import FARTHEST, FEWEST, Null, options_key, shipped, tail


def test_clean_networks_are_flagged_as_often_as_the_level_says():
    rng = np.random.default_rng(0)
    drawn = np.sinh(rng.normal(1.0, 0.5, (2000, 11)))
    values = [tail(row[0], row[1:].tolist()) for row in drawn]
    for level in (0.05, 0.2):
        assert np.mean(np.array(values) <= level) == pytest.approx(level, abs=0.015)


def test_a_larger_statistic_is_never_less_suspicious_and_the_tail_has_an_end():
    clean = [0.1, 0.2, 0.15, 0.3, 0.22]
    found = [tail(each, clean) for each in (0.0, 0.2, 0.4, 0.8, 1e6)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(FARTHEST / 6)
    assert tail(1.0, clean[: FEWEST - 1]) is None
    assert 0.3 < tail(0.2, [0.2] * 8) < 0.6  # alike by chance


def test_what_was_measured_with_other_options_says_nothing(monkeypatch):
    usual, other = {"eps": 0.3, "steps": 30}, {"eps": 0.4, "steps": 30}
    assert options_key(usual) == options_key(dict(reversed(usual.items()))) != options_key(other)
    entry = {"convolutions, no normalization, 1x8x8": {"values": [0.1] * 5, "of": "networks"}}
    monkeypatch.setattr(nulls, "_table", lambda: {f"ban {options_key(usual)}": entry})
    assert shipped("ban", usual, "convolutions, no normalization, 1x8x8").values == (0.1,) * 5
    assert shipped("ban", other, "convolutions, no normalization") is None
    assert shipped("ban", usual, "attention, group or layer normalization") is None


def test_the_weakness_of_a_shipped_null_is_said():
    known = Null((0.1, 0.2, 0.3, 0.2, 0.15), "small networks")
    chance = from_known(torch.tensor([0.1, 0.9], dtype=torch.float64), known)
    assert "5 small networks" in chance.of
    assert "--clean-model" in chance.weakness
    assert chance.value < 0.05
    assert from_known(torch.tensor([0.9]), Null((0.1, 0.2), "networks")) is None
