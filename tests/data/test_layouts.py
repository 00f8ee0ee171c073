"""Arrays as other programs write them: converted where only one meaning is possible, and said."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomech.data import image_archives
from anomech.data.array_layouts import layout_of
from anomech.data.images import from_arrays
from anomech.data.reading import Reading, read_images
from anomech.kernel.errors import DataError

COLOR = np.random.default_rng(0).integers(0, 256, (6, 5, 9, 3), dtype=np.uint8)
ALPHA = np.concatenate([COLOR, COLOR[..., :1]], axis=3)
EVERY = np.arange(6)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.moveaxis(COLOR, 3, 1), "channels first"),
        (ALPHA, "transparency"),
        (np.moveaxis(ALPHA, 3, 1), "channels first and transparency"),
    ],
    ids=["NCHW", "RGBA", "both"],
)
@pytest.mark.parametrize("small", [0, 2**24], ids=["in file", "in memory"])
def test_what_has_one_meaning_is_converted_and_said(tmp_path, monkeypatch, array, words, small):
    monkeypatch.setattr(image_archives, "SMALL_BYTES", small)
    np.savez(tmp_path / "a.npz", images=np.ascontiguousarray(array))
    for examples in (read_images(tmp_path / "a.npz"), from_arrays(array)):
        np.testing.assert_array_equal(examples.load(EVERY), COLOR)
        assert examples.shape == (5, 9, 3)
        assert words in examples.remarks[0].what
        assert examples.remarks[0].count == 6
        assert examples.digests() == from_arrays(COLOR).digests()
    grey = read_images(tmp_path / "a.npz", channels=1)
    np.testing.assert_array_equal(grey.load(EVERY).shape, (6, 5, 9, 1))


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((0, 5, 9, 3), "there are no images"),
        ((0,), "there are no images"),
        ((6, 0, 9, 3), "no pixels"),
        ((6, 5), "grey [n, h, w]"),
        ((6, 5, 9, 7), "1 or 3 channels"),
        ((6, 4, 9, 4), "first or last"),
        ((6, 3, 9, 4), "first or last"),
    ],
)
def test_each_other_shape_has_its_own_remedy(shape, words):
    with pytest.raises(DataError, match=";") as caught:
        from_arrays(np.zeros(shape, np.uint8))
    assert words in str(caught.value)
    assert words == "first or last" or "move" not in str(caught.value)


@given(st.lists(st.integers(0, 6), max_size=6))
@settings(max_examples=300, deadline=None)
def test_any_shape_is_a_layout_or_refused(shape):
    try:
        layout = layout_of(tuple(shape))
    except DataError:
        return
    batch = np.zeros(shape, np.uint8)
    for step in layout.steps:
        batch = step(batch)
    assert batch.shape == layout.shape
    assert layout.shape[3] in (1, 3)


def test_labels_of_one_column_are_labels():
    labels = np.arange(6)[:, None]
    assert from_arrays(COLOR, labels).labels.tolist() == list(range(6))
    with pytest.raises(DataError, match="argmax"):
        from_arrays(COLOR, np.eye(6))


def test_arrays_of_other_names(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x_test=COLOR, y_test=EVERY[:, None])
    examples = read_images(path)
    assert examples.labels.tolist() == EVERY.tolist()
    assert [remark.example for remark in examples.remarks] == ["x_test"]
    np.savez(path, x_test=COLOR, y_test=EVERY, x_train=COLOR[:3], y_train=EVERY[:3])
    with pytest.raises(DataError, match="--key images=") as caught:
        read_images(path)
    assert "x_test [6, 5, 9, 3]" in str(caught.value)
    examples = read_images(path, reading=Reading(images="x_test", labels="y_test"))
    assert len(examples) == 6
    assert examples.remarks == ()
    assert len(read_images(path, reading=Reading(images="x_train"))) == 3
    with pytest.raises(DataError, match="did you mean 'x_test'"):
        read_images(path, reading=Reading(images="x_tset"))


def test_resize_and_crop_are_those_of_image_pipelines(tmp_path):
    from PIL import Image

    wide = np.random.default_rng(1).integers(0, 256, (20, 31, 3), dtype=np.uint8)
    for index, side in enumerate((0, 1)):
        picture = Image.fromarray(np.swapaxes(wide, 0, side))
        picture.save(tmp_path / f"{index}.png")
    reading = Reading(resize=12, crop=10)
    examples = read_images(tmp_path, reading=reading)
    assert examples.shape == (10, 10, 3)
    scaled = Image.fromarray(wide).resize((18, 12), Image.Resampling.BILINEAR)
    expected = np.asarray(scaled.crop((4, 1, 14, 11)))
    np.testing.assert_array_equal(examples.load(np.array([0]))[0], expected)
    np.save(tmp_path / "a.npy", wide[None])
    array = read_images(tmp_path / "a.npy", reading=reading)
    np.testing.assert_array_equal(array.load(np.array([0]))[0], expected)
    with pytest.raises(DataError, match="too small to cut"):
        read_images(tmp_path, reading=Reading(crop=25))
    with pytest.raises(DataError, match="--resize and --crop"):
        read_images(tmp_path)
