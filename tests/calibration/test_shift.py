"""The test of shifted answers holds its level and finds what it is for."""

import itertools

import numpy as np
import pytest

from anomech.calibration.shift import LEVEL, shift

FREQUENCIES = np.array([0.4, 0.3, 0.15, 0.1, 0.04, 0.01])


def counts(numbers):
    return {str(kind): int(number) for kind, number in enumerate(numbers)}


@pytest.mark.parametrize(("inputs", "trusted"), [(60, 40), (500, 100), (40, 400)])
def test_level_under_simulation(inputs, trusted):
    generator = np.random.default_rng(0)
    runs, level = 1500, 0.05
    chances = [
        shift(
            counts(generator.multinomial(inputs, FREQUENCIES)),
            counts(generator.multinomial(trusted, FREQUENCIES)),
        ).chance
        for _ in range(runs)
    ]
    rate = np.mean(np.array(chances) <= level)
    assert rate <= level + 3 * np.sqrt(level * (1 - level) / runs)
    assert rate > 0  # it is a test, not a constant


def test_level_by_enumeration():
    """All ways of dealing few answers: the level holds exactly, not just on average."""
    answers = "aaabbbbc"
    chances = []
    for chosen in itertools.combinations(range(8), 4):
        here = [answers[i] for i in chosen]
        there = [answers[i] for i in range(8) if i not in chosen]
        sides = ({kind: side.count(kind) for kind in set(side)} for side in (here, there))
        chances.append(shift(*sides).chance)
    for level in (0.1, 0.2, 0.3, 0.5):
        assert np.mean(np.array(chances) <= level) <= level


def test_a_filled_class_is_found_and_named():
    trusted = counts([33] * 10)
    inputs = counts([64] * 9 + [84])
    assert shift(inputs, trusted).chance > LEVEL  # within chance
    filled = shift({**counts([57] * 10), "9": 147}, trusted)
    assert (filled.answer, filled.inputs, filled.trusted) == ("9", 147, 33)
    assert filled.chance < LEVEL
    rare = shift({"a": 572, "b": 88}, {"a": 970, "b": 30})
    assert rare.answer == "b"
    assert rare.chance < 1e-9


def test_an_answer_that_no_trusted_example_has():
    assert shift({"a": 50, "new": 10}, {"a": 100}).answer == "new"
    assert shift({"a": 50}, {"a": 100}).chance == 1.0
    assert shift({}, {"a": 100}) is None
    assert shift({"a": 1}, {}) is None
