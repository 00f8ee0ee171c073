"""Splits keep classes in proportion; digits are what they are said to be."""

import numpy as np
import pytest

from anomech.data.digits import load_digits
from anomech.data.splits import overlap, stratified
from anomech.kernel.errors import DataError

LABELS = np.random.default_rng(1).choice(7, 1003, p=[0.4, 0.3, 0.1, 0.1, 0.05, 0.04, 0.01])


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.7, 0.2, 0.1), (1.0,), (0.01, 0.99)])
def test_parts_are_disjoint_exhaustive_and_in_proportion(shares):
    parts = stratified(LABELS, shares, 0, "test")
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(len(LABELS)))
    for part, share in zip(parts, shares, strict=True):
        assert np.all(np.diff(part) > 0)
        assert abs(len(part) - share * len(LABELS)) <= 2
        for label in range(7):
            expected = share * np.bincount(LABELS)[label]
            assert abs(np.sum(LABELS[part] == label) - expected) <= 2


def test_small_classes_are_not_all_on_one_side():
    first, second = stratified(np.arange(100), (0.5, 0.5), 0, "test")
    assert len(first) == len(second) == 50


def test_seed_and_purpose_decide():
    def split(seed, purpose):
        return stratified(LABELS, (0.5, 0.5), seed, purpose)[0].tolist()

    before = np.random.get_state()[1].copy()
    assert split(0, "a") == split(0, "a")
    assert split(0, "a") != split(1, "a")
    assert split(0, "a") != split(0, "b")
    assert np.array_equal(np.random.get_state()[1], before)


def test_no_examples_give_empty_parts():
    assert [len(part) for part in stratified(np.zeros(0, int), (0.5, 0.5), 0, "a")] == [0, 0]


@pytest.mark.parametrize("shares", [(0.5, 0.4), (1.5, -0.5), (), (np.nan, 1)])
def test_bad_shares_are_refused(shares):
    with pytest.raises(DataError, match="sum to 1"):
        stratified(LABELS, shares, 0, "test")


def test_bad_labels_are_refused():
    for labels in (np.zeros(3), np.zeros((3, 1), int)):
        with pytest.raises(DataError, match="integer label"):
            stratified(labels, (1.0,), 0, "test")


def test_overlap_names_what_both_have():
    assert overlap(["a", "b", "c", "b"], ["x", "b", "a"]).tolist() == [0, 1, 3]
    assert overlap([], ["a"]).tolist() == []


def test_digits():
    images, labels = load_digits()
    assert images.shape == (1797, 8, 8, 1)
    assert images.dtype == np.uint8
    assert images.min() == 0
    assert images.max() == 255
    assert len(np.unique(images)) == 17
    assert labels.dtype == np.int64
    assert np.bincount(labels).min() >= 174
    assert len(labels) == 1797
