"""Inputs that a model is less sure of than of its trusted examples are told, and no others."""

import numpy as np

from anomech.audit.probing.confidence import UNSURE, level, probe
from anomech.calibration.excess import LEVEL


def test_alike_inputs_are_hardly_ever_said_to_be_less_sure():
    rng = np.random.default_rng(0)
    said = 0
    for _ in range(2000):
        trusted, inputs = rng.normal(size=200), rng.normal(size=300)
        said += bool(probe(int((inputs < level(trusted.tolist())).sum()), 300, 200))
    assert said <= 2000 * LEVEL + 6


def test_trusted_examples_that_were_learned_are_noticed():
    rng = np.random.default_rng(1)
    learned, inputs = rng.normal(9, 1, size=400), rng.normal(6, 3, size=297)
    unsure = int((inputs < level(learned.tolist())).sum())
    (finding,) = probe(unsure, 297, 400)
    assert finding.code == "inputs-less-sure"
    assert not finding.fails
    assert f"{unsure} of 297" in finding.detail
    assert probe(297 // 10, 297, 400) == []


def test_few_trusted_examples_have_no_level():
    assert level([1.0] * 8) == -np.inf
    assert level(list(np.arange(99.0))) == 9.0
    assert round(UNSURE * 100) == 10
    assert probe(0, 0, 99) == []
