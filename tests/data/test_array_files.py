"""Large arrays stay in their file and give the same images, digests, labels and ids."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from anomech.data import image_archives
from anomech.data.images import from_arrays
from anomech.data.reading import read_images
from anomech.kernel.errors import DataError

COLOR = np.random.default_rng(0).integers(0, 256, (60, 5, 4, 3), dtype=np.uint8)
IDS = np.array([f"name {i}" for i in range(60)])


@pytest.fixture(autouse=True)
def _nothing_is_small(monkeypatch):
    monkeypatch.setattr(image_archives, "SMALL_BYTES", 0)


def write(path, kind, images=COLOR, **more):
    if kind == "npy":
        np.save(path.with_suffix(".npy"), images)
        return path.with_suffix(".npy")
    (np.savez if kind == "stored" else np.savez_compressed)(path, images=images, **more)
    return path


def in_file(examples):
    pixels = examples.pixels
    return type(getattr(pixels, "source", pixels)).__name__ == "ArrayFile"


@pytest.mark.parametrize("kind", ["stored", "compressed", "npy"])
@pytest.mark.parametrize("channels", [None, 1])
def test_the_same_as_in_memory(tmp_path, kind, channels, monkeypatch):
    path = write(tmp_path / "a.npz", kind)
    streamed = read_images(path, channels=channels)
    monkeypatch.setattr(image_archives, "SMALL_BYTES", 2**20)
    whole = read_images(path, channels=channels)
    assert in_file(streamed)
    assert not in_file(whole)
    assert streamed.shape == whole.shape
    for places in ([], [0], [59], [3, 4, 5, 2, 40, 41], range(60)):
        places = np.array(places, np.int64)
        np.testing.assert_array_equal(streamed.load(places), whole.load(places))
    assert streamed.digests() == whole.digests()
    assert streamed.take([7, 3]).digests() == whole.digests()[7:2:-4]
    assert streamed.preview(5) == whole.preview(5)


def test_labels_and_ids(tmp_path):
    path = write(tmp_path / "a.npz", "stored", labels=np.arange(60) % 7, ids=IDS)
    examples = read_images(path)
    assert examples.ids == IDS.tolist()
    assert examples.labels.tolist() == (np.arange(60) % 7).tolist()


def test_grey_images_without_channels(tmp_path):
    examples = read_images(write(tmp_path / "a.npz", "stored", COLOR[..., 0]))
    np.testing.assert_array_equal(examples.load(np.arange(60)), COLOR[..., :1])


def test_pieces_come_in_order_and_know_their_digests(tmp_path):
    examples = read_images(write(tmp_path / "a.npz", "stored", ids=IDS))
    digests = examples.digests()
    pieces = [np.arange(7, 20), np.array([0, 59])]
    for piece, held in zip(pieces, examples.stream(pieces), strict=True):
        np.testing.assert_array_equal(held.load(np.arange(len(held))), COLOR[piece])
        assert list(held.ids) == IDS[piece].tolist()
        assert held.known.known.all()
        assert held.digests() == [digests[place] for place in piece]


def test_memory_is_that_of_one_piece(tmp_path):
    images = np.zeros((20_000, 16, 16, 3), np.uint8)
    path = write(tmp_path / "a.npz", "stored", images)
    tracemalloc.start()
    try:
        examples = read_images(path)
        examples.hash()
        assert tracemalloc.get_traced_memory()[1] < images.nbytes / 4
    finally:
        tracemalloc.stop()
    assert len(set(examples.digests())) == 1


def refused(path, *words):
    with pytest.raises(DataError) as caught:
        read_images(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ";" in message


@pytest.mark.parametrize(
    "images", [COLOR.astype(np.float32), np.asfortranarray(COLOR), COLOR.astype(np.int64)]
)
@pytest.mark.parametrize("kind", ["stored", "compressed", "npy"])
def test_what_cannot_be_read_row_by_row(tmp_path, kind, images):
    refused(write(tmp_path / "a.npz", kind, images), "uint8 [n, h, w, c]", "ascontiguousarray")


def test_flipped_pixels_are_noticed(tmp_path):
    path = write(tmp_path / "a.npz", "stored")
    whole = bytearray(path.read_bytes())
    whole[whole.index(COLOR[30].tobytes())] ^= 1
    path.write_bytes(whole)
    refused(path, "not a readable .npz")


def test_an_array_that_lies_about_its_size(tmp_path):
    header = io.BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**6, 10**6, 3)}
    np.lib.format.write_array_header_1_0(header, shape)
    (tmp_path / "a.npy").write_bytes(header.getvalue() + b"xy")
    refused(tmp_path / "a.npy", "claims 3" + "0" * 21, "damaged")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header.getvalue() + b"xy")
    refused(tmp_path / "a.npz", "claims 3" + "0" * 21, "damaged")
    (tmp_path / "b.npy").write_bytes(b"no array")
    refused(tmp_path / "b.npy", "not a readable .npy")
    np.save(tmp_path / "c.npy", np.array([{}], object))
    refused(tmp_path / "c.npy", "object values")


def test_only_what_is_compressed_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(image_archives, "MAX_BYTES", 1000)
    assert len(read_images(write(tmp_path / "a.npz", "stored"))) == 60
    refused(write(tmp_path / "b.npz", "compressed"), "more than the 1000", "uncompressed")


@pytest.mark.parametrize("change", ["shorter", "overwritten"])
def test_a_file_that_changes_is_noticed(tmp_path, change):
    path = write(tmp_path / "a.npy", "npy")
    examples = read_images(path)
    with open(path, "r+b") as file:
        if change == "shorter":
            file.truncate(500)
        else:
            file.seek(300)
            file.write(b"other pixels" * 40)
            file.truncate()
    with pytest.raises(DataError, match="changed while it was in use"):
        examples.load(np.arange(60))


def test_arrays_in_memory_stream_too():
    examples = from_arrays(COLOR)
    (held,) = examples.stream([np.arange(3)])
    np.testing.assert_array_equal(held.load(np.array([2])), COLOR[[2]])
    assert held.ids == ("00", "01", "02")
