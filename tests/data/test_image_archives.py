"""`.npz` files are read in both layouts, and what they claim is checked before it is believed."""

import io
import zipfile
import zlib

import numpy as np
import pytest

from anomech.data import image_archives
from anomech.data.reading import read_images
from anomech.kernel.errors import DataError

COLOR = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        read_images(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ";" in message


def test_npz_with_objects_or_other_keys_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, pictures=COLOR / 255)
    refused(path, "no array 'images'", "pictures")
    np.savez(path, images=np.array([{"a": 1}], object))
    refused(path, "object values")
    path.write_bytes(b"PK\x03\x04 nothing")
    refused(path, "not a readable .npz")
    np.savez(path, images=COLOR, labels=np.zeros((6, 2), int))
    refused(path, "one integer an image")


def test_npz_layouts_in_memory_do_not_matter(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", images=np.asfortranarray(COLOR))
    np.testing.assert_array_equal(read_images(tmp_path / "a.npz").load(np.arange(6)), COLOR)


def test_npz_that_lies_about_its_size_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"xy")
    refused(path, "claims 3" + "0" * 21, "damaged")
    np.savez_compressed(path, images=np.zeros((100, 50, 50, 1), np.uint8))
    monkeypatch.setattr(image_archives, "MAX_BYTES", 200_000)
    refused(path, "more than the 200000")


def archive_of(images, shape=None):
    """The project's archive layout of two grey images, written by its definition."""
    planes = images[..., 0].astype(int)
    rest = planes.copy()
    for row in range(planes.shape[1]):
        for column in range(planes.shape[2]):
            if row and column:
                left, up = planes[:, row, column - 1], planes[:, row - 1, column]
                low, high = np.minimum(left, up), np.maximum(left, up)
                guess = np.clip(left + up - planes[:, row - 1, column - 1], low, high)
            elif row or column:
                guess = planes[:, row - 1, 0] if row else planes[:, 0, column - 1]
            else:
                guess = 0
            rest[:, row, column] = (planes[:, row, column] - guess) % 256
    data = np.frombuffer(zlib.compress(rest.astype(np.uint8).tobytes()), np.uint8)
    return {
        "data": data,
        "shape": shape or images.shape,
        "labels": np.arange(len(images)),
        "index": np.arange(2),
    }


def test_archive_layout_is_read_and_its_stream_bounded(tmp_path):
    path, images = tmp_path / "a.npz", COLOR[:2, ..., :1]
    np.savez(path, **archive_of(images))
    examples = read_images(path)
    np.testing.assert_array_equal(examples.load(np.arange(2)), images)
    assert examples.labels.tolist() == [0, 1]
    np.savez(path, **archive_of(np.zeros((2, 500, 5, 1), np.uint8), shape=(2, 5, 4, 1)))
    refused(path, "does not unpack to the 40 pixels")
    np.savez(path, **archive_of(images, shape=(2**20, 2**20, 2**20, 3)))
    refused(path, "would unpack")


@pytest.mark.parametrize("layout", ["plain", "archive"])
def test_damage_anywhere_is_one_sentence_or_harmless(tmp_path, layout):
    path = tmp_path / "a.npz"
    arrays = {"images": COLOR, "labels": np.arange(6)}
    np.savez(path, **(arrays if layout == "plain" else archive_of(COLOR[:2, ..., :1])))
    whole, outcomes = path.read_bytes(), set()
    generator = np.random.default_rng(0)
    for _ in range(200):
        bent = bytearray(whole)
        for place in generator.integers(0, len(whole), 2):
            bent[place] = generator.integers(256)
        path.write_bytes(bent)
        try:
            outcomes.add(len(read_images(path)))
        except DataError as error:
            outcomes.add("\n" in str(error))
    assert outcomes <= {2, 6, False}
