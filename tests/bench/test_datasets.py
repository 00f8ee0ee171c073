"""Data sets by name and from a user's folder, and foreign images fitted to a model's."""

import csv
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomech.bench.worlds.images.datasets import adapted, data_folder, foreign, load
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (8, 6, 5, 3), dtype=np.uint8)
ARCHIVES = [name for name in plugins.names("dataset") if name != "digits"]
TRAINED = ("cifar10", "gtsrb", "mnist")
NAMES = ("cat", "dog", "eel", "fox")
real = pytest.mark.skipif(
    not (os.environ.get("ANOMECH_DATA") and (Path(os.environ["ANOMECH_DATA"]) / "vision").is_dir()),
    reason="needs the real images; set ANOMECH_DATA to the folder that holds vision/",
)


def save(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(path)


def class_folders(root, train=NAMES, test=NAMES):
    """Two pictures a class in `train`, one in `test`; picture i of PICTURES belongs to i // 2."""
    for number, name in enumerate(NAMES):
        if name in train:
            for place in (0, 1):
                save(root / "train" / name / f"{place}.png", PICTURES[2 * number + place])
        if name in test:
            save(root / "test" / name / "0.png", PICTURES[2 * number])
    return root


def metadata_folder(root, labels, file="metadata.jsonl"):
    for part in ("train", "test"):
        for place in range(len(labels)):
            save(root / part / f"{place}.png", PICTURES[place])
        rows = [{"file_name": f"{i}.png", "label": label} for i, label in enumerate(labels)]
        write_rows(root / part / file, rows[::-1])
    return root


def write_rows(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
        return
    with open(path, "w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_digits_are_split_by_class_and_whole():
    sets = load("digits", None)
    assert sets.classes == 10
    assert sets.train[0].shape[1:] == (8, 8, 1)
    assert len(sets.train[1]) + len(sets.test[1]) == 1797
    share = np.bincount(sets.train[1]) / np.bincount(np.concatenate([sets.train[1], sets.test[1]]))
    assert np.allclose(share, 0.45, atol=0.01)


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_without_a_folder_are_refused_with_the_remedy(name):
    with pytest.raises(ConfigError, match=rf"'{name}'.*set ANOMECH_DATA"):
        load(name, None)
    with pytest.raises(ConfigError, match=rf"'{name}'.*set ANOMECH_DATA"):
        foreign(name, None, PICTURES)


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'cifar10'"):
        load("cifar-10", tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'textures'"):
        foreign("texture", tmp_path, PICTURES)


def test_the_data_folder_is_the_environments(monkeypatch, tmp_path):
    monkeypatch.setenv("ANOMECH_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.delenv("ANOMECH_DATA")
    assert data_folder() is None


def test_class_folders_are_read_with_their_labels(tmp_path):
    sets = load(str(class_folders(tmp_path)), None)
    assert np.array_equal(sets.train[0], PICTURES)
    assert sets.train[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert np.array_equal(sets.test[0], PICTURES[::2])
    assert sets.test[1].tolist() == [0, 1, 2, 3]
    assert sets.classes == 4


def test_a_class_that_is_not_tested_keeps_the_numbers_of_the_others(tmp_path):
    sets = load(str(class_folders(tmp_path, test=("dog", "fox"))), None)
    assert sets.test[1].tolist() == [1, 3]
    assert sets.classes == 4


def test_a_class_that_is_not_trained_on_is_refused(tmp_path):
    with pytest.raises(DataError, match="the class eel is in only one"):
        load(str(class_folders(tmp_path, train=("cat", "dog", "fox"))), None)


def test_parts_that_do_not_fit_are_refused(tmp_path):
    class_folders(tmp_path / "half")
    (tmp_path / "half/test").rename(tmp_path / "half/other")
    with pytest.raises(DataError, match="no part 'test'"):
        load(str(tmp_path / "half"), None)
    root = class_folders(tmp_path / "sizes", test=())
    save(root / "test/cat/0.png", PICTURES[0][:4])
    with pytest.raises(DataError, match=r"5 x 6 .* 5 x 4"):
        load(str(root), None)


@pytest.mark.parametrize("file", ["metadata.jsonl", "metadata.csv"])
@pytest.mark.parametrize(
    ("labels", "numbers"),
    [(["dog", "cat", "fox"], [1, 0, 2]), ([0, 10, 2], [0, 10, 2])],
)
def test_a_metadata_file_tells_the_labels(tmp_path, file, labels, numbers):
    sets = load(str(metadata_folder(tmp_path, labels, file)), None)
    assert sets.train[1].tolist() == numbers
    assert np.array_equal(sets.train[0], PICTURES[:3])
    assert sets.classes == max(numbers) + 1


def test_metadata_without_labels_leaves_them_to_the_class_folders(tmp_path):
    class_folders(tmp_path)
    write_rows(tmp_path / "train/metadata.csv", [{"file_name": "cat/0.png", "text": "a cat"}])
    assert load(str(tmp_path), None).train[1].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ('{"file_name": "0.png", "label": 1}', "no row for 1.png"),
        ('{"file_name": "0.png", "label": 1', "cannot be read"),
        ("[1, 2]", "one JSON object a line"),
        ('{"file_name": "0.png", "label": null}\n{"file_name": "1.png", "label": 1}', "neither"),
        ('{"file_name": "0.png", "label": -1}\n{"file_name": "1.png", "label": 1}', "label -1"),
    ],
)
def test_bad_metadata_is_refused(tmp_path, rows, message):
    metadata_folder(tmp_path, [0, 1])
    (tmp_path / "train/metadata.jsonl").write_text(rows)
    with pytest.raises(DataError, match=message):
        load(str(tmp_path), None)


def test_images_without_labels_are_refused(tmp_path):
    for part in ("train", "test"):
        save(tmp_path / part / "0.png", PICTURES[0])
    with pytest.raises(DataError, match="have no labels"):
        load(str(tmp_path), None)


def saved(root, features=None, **columns):
    """A data set written by `save_to_disk`, with the same rows in both parts."""
    datasets = pytest.importorskip("datasets", reason="needs the extra 'data'")
    table = datasets.Dataset.from_dict(columns, features=features and features(datasets))
    datasets.DatasetDict({"train": table, "test": table}).save_to_disk(str(root))
    return root


def classes_of(datasets):
    return datasets.Features(
        {"picture": datasets.Image(), "kind": datasets.ClassLabel(names=list(NAMES))}
    )


def test_saved_data_sets_are_read(tmp_path):
    pictures = [Image.fromarray(picture) for picture in PICTURES[:3]]
    sets = load(str(saved(tmp_path, classes_of, picture=pictures, kind=[3, 0, 1])), None)
    assert np.array_equal(sets.train[0], PICTURES[:3])
    assert sets.train[1].tolist() == [3, 0, 1]
    assert sets.classes == 4


def test_saved_data_sets_without_images_or_splits_are_refused(tmp_path):
    with pytest.raises(DataError, match="needs images"):
        load(str(saved(tmp_path / "text", text=["a", "b"], label=[0, 1])), None)
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"label": [0, 1]}).save_to_disk(str(tmp_path / "one"))
    with pytest.raises(DataError, match="without splits"):
        load(str(tmp_path / "one"), None)


def plain_table(datasets):
    stored = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    return datasets.Features({"picture": stored, "label": datasets.Value("int64")})


def test_a_saved_table_that_names_a_file_elsewhere_is_refused(tmp_path):
    save(tmp_path / "secret.png", PICTURES[0])
    outside = [{"bytes": None, "path": str(tmp_path / "secret.png")}]
    root = saved(tmp_path / "set", plain_table, picture=outside, label=[0])
    info = root / "train/dataset_info.json"
    described = json.loads(info.read_text())
    described["features"]["picture"] = {"_type": "Image"}
    info.write_text(json.dumps(described))
    with pytest.raises(DataError, match="is not in the folder"):
        load(str(root), None)


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch):
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ConfigError, match=r'pip install "anomech\[data\]"'):
        load(str(tmp_path), None)


def test_foreign_images_may_be_a_users(tmp_path):
    for place, picture in enumerate(PICTURES):
        save(tmp_path / f"{place}.png", picture)
    found = foreign(str(tmp_path), None, np.zeros((0, 12, 10, 1), np.uint8))
    assert found.shape == (8, 12, 10, 1)


def test_adapting_keeps_what_fits_and_changes_channels_as_pillow_does():
    assert np.array_equal(adapted(PICTURES, 6, 5, 3), PICTURES)
    luma = np.stack([np.asarray(Image.fromarray(picture).convert("L")) for picture in PICTURES])
    assert np.array_equal(adapted(PICTURES, 6, 5, 1)[..., 0], luma)
    gray = PICTURES[..., :1]
    repeated = adapted(gray, 6, 5, 3)
    assert repeated.flags.c_contiguous
    assert (repeated == gray).all()


def test_adapting_scales_bilinearly():
    ramp = np.broadcast_to(np.arange(0, 256, 32, dtype=np.uint8), (1, 4, 8))[..., None]
    half = adapted(ramp, 2, 4, 1)[0, :, :, 0]
    # A pixel of the half covers two, and reaches one further on each side with half the weight
    # that a triangle has there; inside of a ramp that is its middle.
    assert half[:, 1:-1].tolist() == [[80, 144]] * 2
    wide = adapted(ramp, 4, 16, 3)
    assert wide.shape == (1, 4, 16, 3)
    assert wide[0, 0, 7, 0] == 104  # at 3.25 pixels
    assert adapted(ramp[:0], 2, 2, 3).shape == (0, 2, 2, 3)


@real
@pytest.mark.parametrize("name", TRAINED)
def test_real_sets_have_their_classes(name):
    sets = load(name, data_folder())
    assert len(np.unique(sets.train[1])) == sets.classes
    assert sets.test[1].max() == sets.classes - 1
    assert sets.train[0].shape[1:] == sets.test[0].shape[1:]


@real
@pytest.mark.parametrize("name", ARCHIVES)
def test_real_foreign_sets_fit_any_model(name):
    found = foreign(name, data_folder(), np.zeros((0, 28, 28, 1), np.uint8))
    assert found.shape[1:] == (28, 28, 1)
    assert len(found) >= 900
    assert found.std() > 20


@real
@pytest.mark.parametrize("name", sorted(set(ARCHIVES) - set(TRAINED)))
def test_foreign_sets_are_not_trained_on(name):
    with pytest.raises(ConfigError, match="no images to train on"):
        load(name, data_folder())
