"""Images from arrays, folders and `.npz` files agree, and bad ones get one sentence."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from anomech.data import image_files
from anomech.data.images import from_arrays
from anomech.data.reading import read_images
from anomech.kernel.errors import DataError

RNG = np.random.default_rng(0)
COLOR = RNG.integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images, beside what is to be left alone."""
    root = tmp_path / "set"
    for index, image in enumerate(COLOR):
        save(root / ("dog" if index < 3 else "cat") / f"{index}.png", image)
    (root / ".hidden").mkdir()
    save(root / ".hidden" / "9.png", COLOR[0])
    save(root / "cat" / "._4.png", COLOR[0])
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "README").write_text("no image")
    return root


def refused(path, *words, **options):
    def read():
        examples = read_images(path, **options)
        examples.load(np.arange(len(examples)))

    with pytest.raises(DataError) as caught:
        read()
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ";" in message
    return message


def test_class_folders_give_labels_in_sorted_order(folder):
    examples = read_images(folder)
    assert examples.class_names == ("cat", "dog")
    assert examples.ids[0] == "cat/3.png"
    assert len(examples) == 6
    assert examples.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert examples.shape == (5, 4, 3)
    np.testing.assert_array_equal(examples.load(np.array([4, 0])), COLOR[[1, 3]])


def test_flat_folder_has_no_labels(folder):
    examples = read_images(folder / "dog")
    assert examples.labels is None
    assert examples.class_names is None
    assert examples.ids == ("0.png", "1.png", "2.png")


def test_empty_class_keeps_its_number(folder):
    (folder / "bird").mkdir()
    examples = read_images(folder)
    assert examples.class_names == ("bird", "cat", "dog")
    assert set(examples.labels.tolist()) == {1, 2}


def test_same_picture_same_digest_whatever_the_file(folder, tmp_path):
    np.savez(tmp_path / "a.npz", images=COLOR, labels=np.arange(6), ids=np.array(list("abcdef")))
    packed = read_images(tmp_path / "a.npz")
    assert packed.ids == tuple("abcdef")
    assert packed.labels.tolist() == list(range(6))
    save(tmp_path / "bmp" / "0.bmp", COLOR[0])
    digests = from_arrays(COLOR).digests()
    assert packed.digests() == digests
    assert read_images(folder).digests() == digests[3:] + digests[:3]
    assert read_images(tmp_path / "bmp").digests() == digests[:1]
    assert len(set(digests)) == 6
    reshaped = from_arrays(COLOR.reshape(6, 4, 5, 3))  # the same bytes, another picture
    assert not set(reshaped.digests()) & set(digests)


def test_take_selects_and_shares_digests(folder):
    examples = read_images(folder)
    part = examples.take(np.array([5, 1]))
    assert part.ids == ("dog/2.png", "cat/4.png")
    assert part.labels.tolist() == [1, 0]
    np.testing.assert_array_equal(part.load(np.array([0])), COLOR[[2]])
    examples.digests()
    (folder / "dog" / "2.png").unlink()  # already hashed: not read again
    assert part.digests() == (examples.digests()[5], examples.digests()[1])
    assert examples.take(examples.labels == 0).ids == examples.ids[:3]
    assert len(examples.take([])) == 0
    assert examples.take([]).load(np.array([])).shape == (
        0,
        5,
        4,
        3,
    )
    assert part.take([1]).ids == ("cat/4.png",)
    with pytest.raises(DataError, match="twice"):
        examples.take([1, 1])
    with pytest.raises(DataError, match="6 images"):
        examples.take([6])


@pytest.mark.parametrize("channels", [1, 3])
def test_preview_is_the_image_as_png(channels):
    examples = from_arrays(COLOR[..., :channels])
    preview = examples.preview(2)
    assert preview.kind == "image"
    shown = np.array(Image.open(io.BytesIO(preview.data))).reshape(5, 4, channels)
    np.testing.assert_array_equal(shown, COLOR[2, ..., :channels])


def test_arrays_are_checked():
    assert from_arrays(COLOR[..., 0]).shape == (5, 4, 1)
    assert from_arrays(np.zeros((11, 2, 2, 1), np.uint8)).ids[:2] == ("00", "01")
    bad = [
        {"images": COLOR / 255},
        {"images": COLOR[:0]},
        {"images": COLOR[0, 0]},
        {"images": COLOR, "labels": [0, 1]},
        {"images": COLOR, "labels": [0.0] * 6},
        {"images": COLOR, "labels": [-1, 0, 0, 0, 0, 0]},
        {"images": COLOR, "labels": [[0], [1, 2]]},
        {"images": COLOR, "ids": ["a"] * 6},
        {"images": COLOR, "ids": ["a"]},
        {"images": COLOR, "ids": list(range(6))},
    ]
    for arguments in bad:
        with pytest.raises(DataError, match=";"):
            from_arrays(**arguments)


def test_modes_become_grey_or_color(tmp_path):
    grey = COLOR[0, ..., 0]
    save(tmp_path / "m" / "a.png", grey)
    save(tmp_path / "m" / "b.png", COLOR[0])
    save(tmp_path / "m" / "c.png", np.dstack([COLOR[1], grey]))  # RGBA: alpha is dropped
    save(tmp_path / "m" / "d.png", grey.astype(np.uint16) * 257)
    Image.fromarray(COLOR[2]).quantize(8).save(tmp_path / "m" / "e.png")
    examples = read_images(tmp_path / "m")
    assert examples.shape == (5, 4, 3)
    batch = examples.load(np.arange(5))
    np.testing.assert_array_equal(batch[0], grey[..., None].repeat(3, 2))
    np.testing.assert_array_equal(batch[1], COLOR[0])
    np.testing.assert_array_equal(batch[2], COLOR[1])
    np.testing.assert_array_equal(batch[3], batch[0])
    one = read_images(tmp_path / "m", channels=1).load(np.arange(5))
    np.testing.assert_array_equal(one[1, ..., 0], np.array(Image.fromarray(COLOR[0]).convert("L")))
    np.savez(tmp_path / "m.npz", images=COLOR[:1])
    np.testing.assert_array_equal(read_images(tmp_path / "m.npz", channels=1).load([0])[0], one[1])
    (tmp_path / "m" / "c.png").unlink()
    (tmp_path / "m" / "e.png").unlink()
    assert read_images(tmp_path / "m").shape == (5, 4, 1)  # most are grey now
    with pytest.raises(DataError, match="not 2"):
        read_images(tmp_path / "m", channels=2)


def test_progress_is_told(folder):
    told = []
    read_images(folder, progress=lambda *step: told.append(step))
    assert told == [("reading images", 6, 6)]


def test_bad_folders_get_one_sentence(folder, tmp_path):
    refused(tmp_path / "nowhere", "does not exist")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "no images")
    refused(folder / "README", "not a folder")
    save(folder / "loose.png", COLOR[0])
    refused(folder, "loose.png", "beside class folders")
    (folder / "loose.png").unlink()
    save(folder / "cat" / "big.png", RNG.integers(0, 256, (8, 9, 3), dtype=np.uint8))
    refused(folder, "cat/3.png is 4 x 5", "cat/big.png is 9 x 8", "scale")


def test_damaged_files_are_named(folder):
    good = (folder / "cat" / "3.png").read_bytes()
    (folder / "cat" / "3.png").write_bytes(good[:60])  # the header is whole, the pixels are not
    assert "cat/3.png is not a readable image" in refused(folder)
    (folder / "cat" / "3.png").write_bytes(b"not a picture")
    refused(folder, "cat/3.png")
    save(folder / "cat" / "3.png", COLOR[3], format="PCX")  # Pillow could read this
    refused(folder, "cat/3.png")


def test_file_changed_after_reading_is_noticed(folder):
    examples = read_images(folder)
    save(folder / "cat" / "3.png", COLOR[0, :2])
    with pytest.raises(DataError, match="changed"):
        examples.load(np.array([0]))


def test_huge_images_are_refused_unread(folder, monkeypatch):
    monkeypatch.setattr(image_files, "MAX_PIXELS", 19)
    refused(folder, "claims more than 19 pixels")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5)
    refused(folder, "claims more than 19 pixels")


def test_float_images_are_refused(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    refused(tmp_path, "mode F", "convert")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs links and pipes")
def test_links_stay_inside_and_pipes_are_ignored(folder, tmp_path):
    os.mkfifo(folder / "cat" / "pipe.png")
    (folder / "cat" / "6.png").symlink_to(folder / "dog" / "0.png")
    assert len(read_images(folder)) == 7
    for target in (tmp_path / "secret.png", folder / "dog", folder / "cat" / "7.png"):
        save(tmp_path / "secret.png", COLOR[0])
        (folder / "cat" / "7.png").symlink_to(target)
        refused(folder, "cat/7.png is a link")
        (folder / "cat" / "7.png").unlink()
    (folder / "eel").symlink_to(tmp_path)
    refused(folder, "eel is a link")


def test_names_that_are_no_text_can_still_be_written(tmp_path):
    name = os.fsdecode(b"\xff.png")
    try:
        save(tmp_path / name, COLOR[0])
    except OSError:
        pytest.skip("this file system takes text only")
    examples = read_images(tmp_path)
    assert examples.ids[0].encode("utf-8")
    assert len(examples.load(np.array([0]))) == 1
