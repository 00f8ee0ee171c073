"""Questions to a model and its trusted set, by their arithmetic alone."""

import numpy as np
import pytest
import torch

from anomech.audit.probing import coverage, order, traces, verdicts
from anomech.kernel.errors import Inconclusive
from anomech.roles.tracer import Traces


def test_names_are_ordered_by_the_numbers_in_them():
    names = ["0", "1", "10", "11", "2", "class-3"]
    assert order.natural_order(names).tolist() == [0, 1, 3, 4, 2, 5]


def test_folders_sorted_as_text_are_recognized():
    classes = 43
    names = sorted(str(number) for number in range(classes))
    rng = np.random.default_rng(0)
    answers = rng.integers(0, classes, 600)  # the model's classes are the numbers
    labels = np.array([names.index(str(answer)) for answer in answers])
    labels[:30] = rng.integers(0, classes, 30)
    (found,) = order.probe(answers, labels, names)
    assert found.code == "class-order"
    assert "natural order ('0', '1', '2', '3', ...)" in found.detail
    assert "00, 01" in found.action
    with pytest.raises(Inconclusive, match="natural order"):
        verdicts.require_sound([found])


def test_any_other_order_is_named_and_chance_is_not():
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 10, 500)
    shuffled = np.roll(np.arange(10), 1)
    (found,) = order.probe(answers, shuffled[answers], [f"c{i}" for i in range(10)])
    assert "label 0 as 1" in found.detail
    assert (
        order.best_order(answers, shuffled[answers], 10).tolist() == np.argsort(shuffled).tolist()
    )
    (found,) = order.probe(answers, rng.permutation(answers), [f"c{i}" for i in range(10)])
    assert "No order of the classes fits" in found.detail


def test_few_right_answers_are_said_and_do_not_end_an_audit():
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 10, 500)
    half = np.where(rng.random(500) < 0.5, answers, 0)
    assert order.probe(answers, half, [f"c{i}" for i in range(10)]) == []
    (found,) = order.few_right(answers, half)
    assert (found.code, found.severity) == ("few-right", "low")
    verdicts.require_sound([found])
    assert order.few_right(answers, np.where(rng.random(500) < 0.8, answers, 0)) == []


def test_a_class_without_a_folder_is_named_and_few_examples_name_no_order():
    rng = np.random.default_rng(0)
    answers = rng.choice([0, 1, 2, 4, 6, 7, 8, 9], 200)
    labels = np.searchsorted([0, 1, 2, 4, 6, 7, 8, 9], answers)  # folders count from 0
    names = [f"digit-{i}" for i in (0, 1, 2, 4, 6, 7, 8, 9)] + ["8", "9"]
    (found,) = order.probe(answers, labels, names)
    assert "no folder for class 3, 5 of the model" in found.detail
    assert "empty folder" in found.action
    (found,) = order.probe(answers[:9], (answers[:9] + 1) % 10, names)
    assert "too few to tell" in found.detail


def test_covered_classes_have_enough_anchors():
    groups = torch.tensor([0, 0, 2, 4, 4, 4])
    known = coverage.covered(groups)
    assert known.tolist() == [0, 4]
    (found,) = coverage.probe(known, ["a", "b", "c", "d", "e"])
    assert found.title.startswith("3 of 5 classes are not covered")
    assert "'b', 'c', 'd'" in found.detail
    assert coverage.probe(torch.arange(5), ["a", "b", "c", "d", "e"]) == []


def test_a_small_class_of_unusual_examples_is_not_judged_and_a_large_one_is():
    anchors = torch.tensor([0] * 40 + [1] * 40 + [2] * 4)
    groups = torch.tensor([0] * 40 + [1] * 40 + [2] * 4)
    p_values = torch.linspace(0.02, 1, 84, dtype=torch.float64)
    p_values[-4:] = 0.01
    assert coverage.misjudged(p_values, groups, anchors).tolist() == [2]
    p_values[:40] = 0.01
    assert coverage.misjudged(p_values, groups, anchors).tolist() == [2]


def test_a_dozen_slightly_unusual_examples_are_enough_to_see_it():
    """Three of twelve below 5 % are no proof by number; that all are low is."""
    anchors = groups = torch.tensor([0] * 40 + [1] * 40 + [2] * 12)
    p_values = torch.full((92,), 0.5, dtype=torch.float64)
    p_values[-12:] = torch.linspace(0.02, 0.3, 12, dtype=torch.float64)
    assert coverage.misjudged(p_values, groups, anchors).tolist() == [2]


def test_chance_alone_names_few_small_classes():
    """Of normal small classes about one in a hundred is left unjudged."""
    generator = torch.Generator().manual_seed(0)
    anchors = torch.tensor([0] * 40 + [1] * 40 + [2] * 40 + [3] * 6)
    groups, named, runs = torch.full((6,), 3), 0, 2000
    for _ in range(runs):
        p_values = torch.rand(6, generator=generator, dtype=torch.float64)
        named += len(coverage.misjudged(p_values, groups, anchors))
    assert named / runs <= 0.01 + 3 * (0.01 / runs) ** 0.5


@pytest.mark.parametrize(
    ("silent", "code"), [((), ""), (("a",), "silent-parts"), (("a", "b", "c"), "no-response")]
)
def test_parts_that_never_respond_are_named(silent, code):
    blocks = {name: slice(2 * i, 2 * i + 2) for i, name in enumerate("abcd")}
    values = torch.ones(5, 8)
    for name in silent:
        values[:, blocks[name]] = 0
    found = traces.probe(Traces(values, blocks))
    assert [each.code for each in found] == ([code] if code else [])
    assert all(f"'{name}'" in found[0].detail for name in silent)
