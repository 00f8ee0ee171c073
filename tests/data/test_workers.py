"""Worker processes give what is given without them, in order, and go when they should."""

import multiprocessing
import os

import numpy as np
import pytest
from PIL import Image

from anomech.data import image_folder
from anomech.data.reading import read_images
from anomech.data.workers import in_order
from anomech.kernel.errors import DataError

COLOR = np.random.default_rng(0).integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "FEW", 0)
    monkeypatch.setattr(image_folder, "PIECE", 8)
    for index, image in enumerate(COLOR):
        Image.fromarray(image).save(tmp_path / f"{index:02d}.png")
    return tmp_path


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_results_come_in_order(workers):
    assert list(in_order(abs, range(-20, 0), workers, 3)) == list(range(20, 0, -1))
    assert list(in_order(abs, [], workers, 3)) == []


def test_pieces_are_taken_a_bounded_number_ahead():
    taken = []

    def pieces():
        for number in range(20):
            taken.append(number)
            yield number

    results = in_order(abs, pieces(), 1, 3)
    assert next(results) == 0
    assert len(taken) == 4
    results.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_ends_is_one_sentence():
    with pytest.raises(DataError, match=r"ended without an answer.*--workers 0"):
        list(in_order(os._exit, [1, 1], 1, 1))
    assert not multiprocessing.active_children()


def test_an_error_of_a_worker_is_raised_here():
    with pytest.raises(TypeError):
        list(in_order(abs, [1, "a", 2], 1, 1))
    assert not multiprocessing.active_children()


def test_a_folder_is_the_same_with_workers(folder):
    alone, helped = read_images(folder), read_images(folder, workers=2)
    helped.hash(workers=2)
    assert helped.known.known.all()
    assert helped.digests() == alone.digests()
    pieces = [np.arange(0, 11), np.arange(11, 30)]
    for one, two in zip(alone.stream(pieces), helped.stream(pieces, 2), strict=True):
        np.testing.assert_array_equal(one.load(one.rows), two.load(two.rows))
        assert one.ids == two.ids


def test_a_damaged_file_is_named_by_a_worker(folder):
    examples = read_images(folder)
    (folder / "17.png").write_bytes((folder / "17.png").read_bytes()[:60])
    with pytest.raises(DataError, match=r"17\.png is not a readable image"):
        examples.hash(workers=1)
    assert not multiprocessing.active_children()
    assert examples.known.known.sum() == 0


def test_progress_of_hashing(folder, monkeypatch):
    monkeypatch.setattr("anomech.data.images.CHUNK", 12)
    told = []
    read_images(folder).hash(progress=lambda done, total: told.append((done, total)))
    assert told == [(12, 30), (24, 30), (30, 30)]
