"""Texts that are made when asked for behave as if they were there."""

import os

import numpy as np
import pytest

from anomech.data.compact import DigestTable, numbered, packed, repeated, selected
from anomech.kernel.errors import DataError

NAMES = ["a", "日本/b.png", os.fsdecode(b"\xff.png"), "line\u2028", "a" * 5000]


def test_packed_texts_are_a_sequence():
    texts = packed(iter(NAMES))
    assert texts == NAMES
    assert list(texts) == NAMES
    assert (len(texts), texts[-1], texts[1:3]) == (5, NAMES[-1], tuple(NAMES[1:3]))
    assert texts != NAMES[:4]
    assert texts != [*NAMES[:4], "b"]
    assert "日本/b.png" in texts
    with pytest.raises(IndexError):
        texts[5]
    assert packed(f"{i}" for i in range(9999)) == [f"{i}" for i in range(9999)]
    assert packed([]) == []


def test_packed_texts_take_no_more_than_their_letters():
    blob, bounds = packed(f"{i:08d}" for i in range(1000)).make.args
    assert len(blob) == 8000
    assert bounds.nbytes == 8 * 1001


@pytest.mark.parametrize("bad", ["", 3, None, b"a"])
def test_what_is_no_text_is_refused(bad):
    with pytest.raises(DataError, match="Ids must be text"):
        packed(["a", bad])


def test_numbers_and_selections():
    assert numbered(11)[:3] == ("00", "01", "02")
    assert selected(numbered(11), np.array([10, 3])) == ["10", "03"]


def test_repeated_names_the_most_frequent():
    assert repeated(["a", "b", "c"]) is None
    assert repeated(["a", "b", "c", "b", "a", "b"]) == "b"
    assert repeated([]) is None


def test_digests_are_entered_and_read_by_row():
    table = DigestTable.empty(4)
    table.fill(np.array([3, 1]), [bytes(range(16)), bytes(16)])
    assert table.known.tolist() == [False, True, False, True]
    assert table.texts(np.array([1, 3])) == ["00" * 16, bytes(range(16)).hex()]
