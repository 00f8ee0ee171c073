"""No file of a folder is left out, or taken otherwise than it seems, without a word."""

import os
import re

import numpy as np
import pytest
from PIL import ExifTags, Image

from anomech.data.reading import read_images
from anomech.data.remarks import remarks_of
from anomech.kernel.errors import DataError

COLOR = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)


def save(path, pixels=COLOR[0], **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def told(folder):
    return {remark.what: (remark.count, remark.example) for remark in read_images(folder).remarks}


def test_every_file_is_judged_or_counted(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.jfif", COLOR[1], format="JPEG")
    save(tmp_path / "c", COLOR[2], format="PNG")
    (tmp_path / "d.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(20))
    (tmp_path / "e.txt").write_text("P6 is no picture")
    (tmp_path / "f").write_text("")
    save(tmp_path / "g.dng", COLOR[3], format="TIFF")
    for name in (".DS_Store", "Thumbs.db", "._a.png"):
        (tmp_path / name).write_text("x")
    examples = read_images(tmp_path)
    assert examples.ids == ("a.png", "b.jfif", "c")
    assert told(tmp_path) == {
        "hidden or system files": (3, ".DS_Store"),
        "AVIF pictures, which are not read": (1, "d.avif"),
        ".txt files that are no images": (1, "e.txt"),
        "files of other kinds that are no images": (1, "f"),
        ".dng files that are no images": (1, "g.dng"),
    }
    left_out = sum(each.count for each in examples.remarks if not each.judged)
    assert len(examples) + left_out == len(os.listdir(tmp_path))
    assert [each.example for each in examples.remarks if each.picture] == ["d.avif"]
    assert remarks_of(examples.take([0])) == examples.remarks
    assert remarks_of(object()) == ()


def test_a_folder_of_what_is_not_read_says_so(tmp_path):
    (tmp_path / "d.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(20))
    with pytest.raises(DataError, match="1 AVIF pictures"):
        read_images(tmp_path)


def test_links_and_pipes_without_a_suffix(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "secret", format="PNG")
    (tmp_path / "in" / "b").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "in" / "c")
    assert len(read_images(tmp_path / "in")) == 1
    assert told(tmp_path / "in") == {
        "links out of the folder": (1, "b"),
        "pipes, devices or broken links": (1, "c"),
    }


def test_images_that_ask_to_be_turned_are_counted(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    save(tmp_path / "a.jpg", exif=exif)
    save(tmp_path / "b.jpg")
    exif[ExifTags.Base.Orientation] = 1
    save(tmp_path / "c.jpg", exif=exif)
    examples = read_images(tmp_path)
    assert examples.shape == (5, 4, 3)  # as stored
    (remark,) = examples.remarks
    assert (remark.count, remark.example, remark.judged) == (1, "a.jpg", True)


@pytest.mark.parametrize("top", [200, 1023, 4095])
def test_few_of_sixteen_bits_are_refused_instead_of_black(tmp_path, top):
    grey = np.linspace(0, top, 20).reshape(5, 4).astype(np.uint16)
    save(tmp_path / "a.png", grey)
    with pytest.raises(DataError, match=r"a\.png has 16 bits .* would be black"):
        read_images(tmp_path).load(np.array([0]))


def test_sixteen_bits_that_are_used_are_read(tmp_path):
    for index, top in enumerate((0, 5000, 65535)):
        save(tmp_path / f"{index}.png", np.full((5, 4), top, np.uint16))
    images = read_images(tmp_path).load(np.arange(3))
    assert images[:, 0, 0, 0].tolist() == [0, 19, 255]


def test_a_folder_of_a_hundred_folders_is_one_sentence(tmp_path):
    save(tmp_path / "set" / "x" / "a.png")
    here = os.getcwd()
    try:
        os.chdir(tmp_path / "set" / "x")
        for _ in range(100):
            os.mkdir("deep")
            os.chdir("deep")
    finally:
        os.chdir(here)
    with pytest.raises(DataError, match="nested more than 64 deep") as caught:
        read_images(tmp_path / "set")
    assert len(str(caught.value)) < 400


def manifest(folder, text):
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def test_manifests_give_paths_and_labels(tmp_path):
    for index in range(3):
        save(tmp_path / "deep" / f"{index}.png", COLOR[index])
    path = manifest(tmp_path, "path,label\ndeep/2.png,dog\ndeep/0.png,cat\ndeep/1.png,dog\n")
    examples = read_images(path)
    assert examples.ids == ("deep/2.png", "deep/0.png", "deep/1.png")
    assert examples.labels.tolist() == [1, 0, 1]
    assert examples.class_names == ("cat", "dog")
    np.testing.assert_array_equal(examples.load(np.array([1]))[0], COLOR[0])
    numbers = read_images(manifest(tmp_path, "File_Name,class\ndeep/2.png,7\ndeep/1.png,3\n"))
    assert numbers.labels.tolist() == [7, 3]
    assert read_images(manifest(tmp_path, "path\ndeep/2.png\n")).labels is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'path'"),
        ("name,label\na,b\n", "no column 'path'"),
        ("path,label\n", "lists no images"),
        ("path,label\n/etc/passwd,1\n", "line 2, names '/etc/passwd', which is not inside"),
        ("path,label\n../a.png,1\n", "not inside"),
        ("path,label\n,1\n", "not inside"),
        ("path,label\nb.png,1\n", "not there"),
        ("path,label\na.png,\n", "no label"),
        ("path,label\na.png\n", "no label"),
        ("path,label\na.png,-1\n", "from 0"),
        ("path,label\na.png,1\na.png,1\n", "more than once"),
        ("path,label\n" + "a" * 9000 + ",1\n", "not there"),
    ],
)
def test_bad_manifests_are_one_sentence(tmp_path, text, words):
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=";") as caught:
        read_images(manifest(tmp_path, text))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400
    assert re.search(r"[.]$", str(caught.value))
