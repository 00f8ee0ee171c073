"""Both layouts of `attack_result.pt` are read, and hostile ones do no harm."""

import os
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from anomech.architectures.preactresnet18 import PreActResNet18
from anomech.artefacts.backdoorbench import NORMALIZATION, build_network, read_attack
from anomech.kernel.errors import AnomechError, DataError, ModelError, UnsafeCheckpoint

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
KEYS = np.array([1, 2, 5, 8])
STATE = {"module.linear.weight": torch.zeros(10, 4), "module.linear.bias": torch.zeros(10)}


def content(**changes):
    return {
        "model_name": "preactresnet18",
        "num_classes": 10,
        "model": STATE,
        "data_path": "../data/cifar10",
        "img_size": (8, 8, 3),
        "clean_data": "cifar10",
        "bd_train": None,
        **changes,
    }


def first(scale=255, **changes):
    x = torch.tensor(IMAGES.transpose(0, 3, 1, 2)).float() * (scale / 255)
    train = {"x": x, "y": torch.zeros(4).long(), "original_index": KEYS}
    test = {"x": x, "y": torch.arange(4)}
    return content(bd_train=train, bd_test=test, **changes)


def second(folder, part="bd_test", where="./record/run/{part}_dataset", **changes):
    """Dataset state of the second layout; keys and indices are numpy numbers, as in true files."""
    entries = {}
    for key, image in zip(KEYS, IMAGES, strict=True):
        place = f"{key % 3}/{key}.png"
        (folder / f"{part}_dataset" / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{part}_dataset" / place)
        stored = f"{where.format(part=part)}/{place}"
        entries[key] = {"path": stored, "other_info": [np.int64(0), int(key % 3)]}
    indicator = np.zeros(10)
    indicator[KEYS] = 1
    return {
        "bd_data_container": {
            "save_folder_path": "./record/run", "data_dict": entries, "save_file_format": ".png"
        },
        "getitem_all": True,
        "getitem_all_switch": False,
        "original_index_array": np.arange(10)[::-1].copy(),
        "poison_indicator": indicator,
        "save_folder_path": "./record/run",
        **changes,
    }  # fmt: skip


def saved(folder, value):
    torch.save(value, folder / "attack_result.pt")
    return folder / "attack_result.pt"


def refused(path, *words, kind=AnomechError):
    with pytest.raises(kind) as caught:
        read_attack(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ";" in message
    return caught.value


@pytest.mark.parametrize("scale", [1, 255])
def test_first_layout(tmp_path, scale):
    result = read_attack(saved(tmp_path, first(scale)))
    assert (result.model_name, result.num_classes) == ("preactresnet18", 10)
    assert result.img_size == (8, 8, 3)
    assert result.dataset == "cifar10"
    assert set(result.state) == {"linear.weight", "linear.bias"}
    np.testing.assert_array_equal(result.bd_test.images, IMAGES)
    assert result.bd_test.labels.tolist() == [0, 1, 2, 3]
    assert result.bd_test.originals is None
    assert result.bd_test.indices is None
    assert result.bd_train.indices.tolist() == KEYS.tolist()


@pytest.mark.parametrize("where", ["./record/run/{part}_dataset", "C:\\w\\{part}_dataset"])
def test_second_layout(tmp_path, where):
    value = content(bd_test=second(tmp_path, where=where), bd_train=second(tmp_path, "bd_train"))
    result = read_attack(saved(tmp_path, value))
    for part in (result.bd_test, result.bd_train):
        assert part.indices.tolist() == [8, 5, 2, 1]  # in the order of the index array
        np.testing.assert_array_equal(part.images, IMAGES[::-1])
        assert part.labels.tolist() == [0] * 4
        assert part.originals.tolist() == [2, 2, 2, 1]
        assert np.flatnonzero(part.poison_indicator).tolist() == KEYS.tolist()


def test_second_layout_after_taking_a_subset(tmp_path):
    part = second(tmp_path, original_index_array=np.array([0, 5, 1]))
    result = read_attack(saved(tmp_path, content(bd_test=part)))
    assert result.bd_test.indices.tolist() == [5, 1]
    assert result.bd_train is None


def test_arrays_of_both_numpy_generations(tmp_path):
    path = saved(tmp_path, content(bd_test=second(tmp_path)))
    new, old = b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n"
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    assert sum(new in data or old in data for _, data in members) == 1
    for wanted, other in ((new, old), (old, new)):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members:
                archive.writestr(name, data.replace(other, wanted))
        assert read_attack(path).bd_test.indices.tolist() == [8, 5, 2, 1]


def test_numpy_itself_is_never_used_to_unpickle(tmp_path):
    path = tmp_path / "attack_result.pt"
    objects = content(bd_test=second(tmp_path, poison_indicator=np.array([{}], object)))
    refused(saved(tmp_path, objects), "not an array of numbers")
    records = np.zeros(10, [("a", "i4")])
    refused(saved(tmp_path, content(bd_test=second(tmp_path, poison_indicator=records))))
    assert path.exists()


def test_network_is_built(tmp_path):
    torch.manual_seed(0)
    network = PreActResNet18(10, 3)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    built = build_network(read_attack(saved(tmp_path, first(model=state))))
    batch = torch.rand(2, 3, 8, 8)
    assert not built.training
    with torch.no_grad():
        torch.testing.assert_close(built(batch), network.eval()(batch))


def test_networks_that_cannot_be_built(tmp_path):
    with pytest.raises(ModelError, match=r"'vgg19'.*preactresnet18"):
        build_network(read_attack(saved(tmp_path, first(model_name="vgg19"))))
    with pytest.raises(ModelError, match="missing in the checkpoint"):
        build_network(read_attack(saved(tmp_path, first())))
    with pytest.raises(ModelError, match="says 100000 classes"):
        build_network(read_attack(saved(tmp_path, first(num_classes=100_000))))


def test_normalization_has_the_channels_of_its_data():
    for name, (mean, std) in NORMALIZATION.items():
        assert len(mean) == len(std) == (1 if name == "mnist" else 3)
    assert NORMALIZATION["cifar10"][1] == (0.247, 0.243, 0.261)


@pytest.mark.parametrize(
    "stored",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "./bd_test_dataset/../../secret.png",
        "./bd_test_dataset/0/../../secret.png",
        "./bd_test_dataset//etc/../../secret.png",
        "x/bd_test_dataset/..\\..\\secret.png",
        "./bd_test_dataset/",
        "./bd_train_dataset/1/1.png",
        "./bd_test_dataset/link.png",
        "./bd_test_dataset/folder/secret.png",
        "./bd_test_dataset/a\x00.png",
    ],
)
def test_paths_that_leave_the_folder_are_refused(tmp_path, stored):
    folder = tmp_path / "inner"
    folder.mkdir()
    part = second(folder)
    Image.fromarray(IMAGES[0]).save(tmp_path / "secret.png")
    Image.fromarray(IMAGES[0]).save(folder / "secret.png")
    (folder / "bd_test_dataset" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "bd_test_dataset" / "folder").symlink_to(tmp_path)
    part["bd_data_container"]["data_dict"][KEYS[0]]["path"] = stored
    refused(saved(folder, content(bd_test=part)), "not followed", kind=DataError)


def test_images_that_are_missing_or_damaged(tmp_path):
    path = saved(tmp_path, content(bd_test=second(tmp_path)))
    image = tmp_path / "bd_test_dataset" / "1" / "1.png"
    Image.fromarray(IMAGES[0, :4]).save(image)
    refused(path, "8 x 4", "8 x 8")
    image.write_bytes(b"no picture")
    refused(path, "1.png is not a readable image")
    image.unlink()
    refused(path, "bd_test_dataset/1/1.png is missing", "unpack")


def test_images_as_pillow_objects_are_refused_with_advice(tmp_path):
    part = second(tmp_path)
    entries = {key: (Image.fromarray(IMAGES[0]), 0, 1) for key in KEYS}
    part["bd_data_container"]["data_dict"] = entries
    path = saved(tmp_path, content(bd_test=part))
    error = refused(path, "Pillow", "save folder", kind=UnsafeCheckpoint)
    assert error.globals == ("PIL.Image.Image",)


def test_malicious_globals_run_nothing(tmp_path):
    marker = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    path = saved(tmp_path, first(extra=Evil()))
    error = refused(path, "nothing in it was executed", kind=UnsafeCheckpoint)
    assert error.globals == (f"{os.system.__module__}.system",)
    assert not marker.exists()


def test_only_the_listed_numpy_names_are_known(tmp_path):
    for function in (np.load, np.frombuffer):
        name = f"{function.__module__}.{function.__name__}"
        error = refused(saved(tmp_path, first(extra=function)), kind=UnsafeCheckpoint)
        assert error.globals == (name,)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_classes": 10**9}, "num_classes"),
        ({"num_classes": "ten"}, "num_classes"),
        ({"img_size": (10**6, 10**6, 3)}, "img_size"),
        ({"img_size": (8, 8, 4)}, "img_size"),
        ({"img_size": None}, "img_size"),
        ({"img_size": (8, 9, 3)}, r"[n, 3, 8, 9]"),
        ({"model_name": 3}, "model_name"),
        ({"model": [1]}, "model"),
        ({"model": {"a": 1}}, "no tensors"),
        ({"bd_test": None}, "no triggered test images"),
        ({"bd_test": {"a": 1}}, "found: a"),
        ({"bd_test": {"x": torch.zeros(2, 3, 8, 8), "y": torch.zeros(3).long()}}, "label"),
        ({"bd_test": {"x": torch.zeros(2, 3, 8, 8), "y": torch.zeros(2)}}, "label"),
        ({"bd_test": {"x": torch.zeros(0, 3, 8, 8), "y": torch.zeros(0).long()}}, "0 images"),
        ({"bd_test": {"x": -torch.ones(1, 3, 8, 8), "y": torch.zeros(1).long()}}, "normalized"),
        ({"bd_test": {"x": torch.zeros(1, 3, 8, 8) / 0, "y": torch.zeros(1).long()}}, "nan"),
        ({"bd_train": {"x": torch.zeros(1, 3, 8, 8), "y": torch.zeros(1).long(),
                       "original_index": np.arange(2)}}, "2 indices"),
    ],
)  # fmt: skip
def test_malformed_files_of_the_first_layout(tmp_path, changes, words):
    refused(saved(tmp_path, {**first(), **changes}), words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"poison_indicator": None}, "array of numbers"),
        ({"poison_indicator": np.zeros(10)}, "no poisoned images"),
        ({"original_index_array": np.array([10])}, "outside"),
        ({"original_index_array": np.array([-1])}, "outside"),
        ({"original_index_array": np.array([0.5])}, "not integers"),
        ({"poison_indicator": np.ones(10)}, "not stored as a file"),
        ({"bd_data_container": None}, "NoneType"),
        ({"bd_data_container": {}}, "data_dict"),
    ],
)
def test_malformed_files_of_the_second_layout(tmp_path, changes, words):
    refused(saved(tmp_path, content(bd_test=second(tmp_path, **changes))), words)


def test_not_an_attack_result(tmp_path):
    refused(saved(tmp_path, STATE), "no 'img_size'", "BackdoorBench")
    refused(saved(tmp_path, [1]), "not a dictionary")
    refused(tmp_path / "none.pt", "does not exist")


def test_damage_anywhere_is_one_sentence_or_harmless(tmp_path):
    path = saved(tmp_path, content(bd_test=second(tmp_path)))
    whole, messages = path.read_bytes(), []
    generator = np.random.default_rng(0)
    for _ in range(10):
        bent = bytearray(whole)
        for place in generator.integers(0, len(whole), 30):
            bent[place] = generator.integers(256)
        path.write_bytes(bent)
        try:
            read_attack(path)
        except AnomechError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


def test_the_image_folder_may_not_be_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    part = second(tmp_path / "real")
    (tmp_path / "bd_test_dataset").symlink_to(tmp_path / "real" / "bd_test_dataset")
    refused(saved(tmp_path, content(bd_test=part)), "bd_test_dataset", "link", kind=DataError)


def test_one_image_cannot_stand_for_many(tmp_path):
    part = second(tmp_path, original_index_array=np.full(5000, 5))
    refused(saved(tmp_path, content(bd_test=part)), "more than once", kind=DataError)
    part = second(tmp_path)
    for entry in part["bd_data_container"]["data_dict"].values():
        entry["path"] = "./run/bd_test_dataset/1/1.png"
    refused(saved(tmp_path, content(bd_test=part)), "one image file for several", kind=DataError)


def test_expanded_images_are_refused_unread(tmp_path):
    x = torch.rand(1, 1, 1, 1).expand(2**22, 3, 8, 8)
    bd_test = {"x": x, "y": torch.zeros(1).long().expand(2**22)}
    refused(saved(tmp_path, content(bd_test=bd_test)), "claim 3254780104 bytes", kind=ModelError)


def test_an_image_that_is_a_pipe_is_not_waited_for(tmp_path):
    part = second(tmp_path)
    place = tmp_path / "bd_test_dataset" / "1" / "1.png"
    place.unlink()
    os.mkfifo(place)
    refused(saved(tmp_path, content(bd_test=part)), "1.png", kind=DataError)
