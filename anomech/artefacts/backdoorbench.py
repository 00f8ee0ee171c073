"""Reader of BackdoorBench's `attack_result.pt`: an attacked network with its triggered images.

The format is that of github.com/SCLBD/BackdoorBench, in its first layout (image tensors in the
file) and its second (image files beside it). The file is hostile: it goes through torch's
weights-only loader, numpy arrays in it are rebuilt by `anomech.artefacts.plain_arrays` and not by
numpy, and image paths are followed only inside the folder that lies beside the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomech.artefacts.checkpoints import apply_state, as_state, existing, first_keys, load_object
from anomech.artefacts.plain_arrays import ALLOWED, PlainArray
from anomech.artefacts.poisoned_files import read_files
from anomech.kernel import plugins
from anomech.kernel.architecture import Architecture
from anomech.kernel.errors import DataError, ModelError, UnsafeCheckpoint

NORMALIZATION: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "mnist": ((0.5,), (0.5,)),
    "tiny": ((0.4802, 0.4481, 0.3975), (0.2302, 0.2265, 0.2262)),
    "gtsrb": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "celeba": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation by channel of pixels scaled to [0, 1], by data set name; the files
do not hold them."""

MAX_CLASSES = 100_000
MAX_SIDE = 1024
MAX_IMAGE_BYTES = 2**32
"""Bounds on what a file may claim: classes, pixels a side, and bytes of images in one set."""


@dataclass(frozen=True, eq=False)
class PoisonedImages:
    """The poisoned images of one set; clean ones are not in the file.

    Attributes:
        images: uint8 `[n, h, w, c]`.
        labels: the labels the attacker gave, int64 `[n]`.
        originals: the true labels, int64 `[n]`; None in the first layout.
        indices: positions in the clean data set, int64 `[n]`; None if the file does not say.
        poison_indicator: for the whole clean data set, whether an image is poisoned, bool; None
            in the first layout.
    """

    images: np.ndarray
    labels: np.ndarray
    originals: np.ndarray | None
    indices: np.ndarray | None
    poison_indicator: np.ndarray | None


@dataclass(frozen=True, eq=False)
class AttackResult:
    """What an `attack_result.pt` holds.

    Attributes:
        model_name: architecture, such as "preactresnet18".
        num_classes: number of classes.
        img_size: height, width and channels.
        dataset: name of the clean data set, such as "cifar10"; a key of `NORMALIZATION` if known.
        state: weights by name.
        bd_test: triggered test images.
        bd_train: poisoned training images, if the file has them.
    """

    model_name: str
    num_classes: int
    img_size: tuple[int, int, int]
    dataset: str
    state: Mapping[str, Tensor]
    bd_test: PoisonedImages
    bd_train: PoisonedImages | None


def read_attack(path: str | Path) -> AttackResult:
    """Read an `attack_result.pt` without running anything in it.

    Args:
        path: the file; the folders `bd_test_dataset` and `bd_train_dataset` of the second layout
            must lie beside it.

    Raises:
        UnsafeCheckpoint: the file asks for code, or holds images as Pillow objects.
        ModelError: the file is missing, damaged or lacks a part.
        DataError: its images are missing, damaged, or named by paths that leave their folder.
    """
    path = existing(path)
    try:
        loaded = load_object(path, ALLOWED)
    except UnsafeCheckpoint as error:
        if any(name.startswith("PIL.") for name in error.globals):
            raise _pillow_inside(path, error.globals) from None
        raise
    content = _mapping(loaded, path, "attack result")
    size = _size(_part(content, "img_size", path), path)
    if _part(content, "bd_test", path) is None:
        raise ModelError(f"{path.name} has no triggered test images; use its 'model' part alone.")
    train = content.get("bd_train")
    return AttackResult(
        model_name=_text(content, "model_name", path),
        num_classes=_classes(_part(content, "num_classes", path), path),
        img_size=size,
        dataset=_text(content, "clean_data", path),
        state=as_state(_mapping(_part(content, "model", path), path, "model"), path),
        bd_test=_poisoned(content["bd_test"], "bd_test", size, path),
        bd_train=None if train is None else _poisoned(train, "bd_train", size, path),
    )


def build_network(result: AttackResult) -> nn.Module:
    """The attacked network, in evaluation mode.

    Raises:
        ModelError: an architecture that is not known, or weights that do not fit it.
    """
    name, known = result.model_name.lower(), plugins.names("architecture")
    if name not in known:
        raise ModelError(
            f"The network is a '{result.model_name[:60]}', and only {', '.join(known)} are built "
            "here; give your own factory (FACTORY.py:make_model) with the weights."
        )
    head = result.state.get("linear.weight")
    if head is not None and head.shape[:1] != (result.num_classes,):
        raise ModelError(
            f"The file says {result.num_classes} classes, its last layer is {list(head.shape)}; "
            "the file is damaged, get it again."
        )
    architecture: Architecture = plugins.get("architecture", name)()
    network = architecture.build(classes=result.num_classes, channels=result.img_size[2])
    apply_state(network, result.state)
    return network.eval()


def _poisoned(stored: object, part: str, size: tuple[int, int, int], path: Path) -> PoisonedImages:
    content = _mapping(stored, path, part)
    if "bd_data_container" in content:
        return _second_layout(content, part, size, path)
    if "x" in content and "y" in content:
        return _first_layout(content, part, size, path)
    raise ModelError(
        f"'{part}' in {path.name} has neither x and y nor bd_data_container (found: "
        f"{first_keys(content)}); the file is in no known layout, get it again."
    )


def _first_layout(
    content: Mapping[Any, Any], part: str, size: tuple[int, int, int], path: Path
) -> PoisonedImages:
    images, labels = content["x"], content["y"]
    height, width, channels = size
    wanted = (channels, height, width)
    if not _dense(images) or images.ndim != 4 or tuple(images.shape[1:]) != wanted:
        raise DataError(
            f"'x' of '{part}' in {path.name} is not a tensor [n, {channels}, {height}, {width}]; "
            "get the file again."
        )
    _check_count(len(images), size, part, path)
    if not _dense(labels) or labels.shape != images.shape[:1] or labels.is_floating_point():
        raise DataError(
            f"'y' of '{part}' in {path.name} is not one integer label an image; get it again."
        )
    indices = content.get("original_index")
    if indices is not None:
        indices = _integers(indices, part, path)
        if len(indices) != len(images):
            raise DataError(
                f"'{part}' in {path.name} has {len(images)} images but {len(indices)} indices; "
                "get the file again."
            )
    return PoisonedImages(_bytes(images, part, path), labels.long().numpy(), None, indices, None)


def _bytes(images: Tensor, part: str, path: Path) -> np.ndarray:
    """Images `[n, c, h, w]` of either scale as uint8 `[n, h, w, c]`."""
    low, high = float(images.min()), float(images.max())
    if not 0 <= low <= high <= 255:  # also false for NaN
        raise DataError(
            f"The images of '{part}' in {path.name} lie between {low:g} and {high:g}, so they are "
            "normalized or damaged; pixels from 0 to 1 or from 0 to 255 are needed."
        )
    scale = 255 if high <= 1 and images.is_floating_point() else 1
    pixels = (images.float() * scale).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def _second_layout(
    content: Mapping[Any, Any], part: str, size: tuple[int, int, int], path: Path
) -> PoisonedImages:
    container = _mapping(content["bd_data_container"], path, f"{part}.bd_data_container")
    entries = _mapping(container.get("data_dict"), path, f"{part}.data_dict")
    marks = _array(content.get("poison_indicator"), f"{part}.poison_indicator", path)
    indicator = marks.ravel() != 0
    order = _integers(content.get("original_index_array"), part, path)
    if len(order) and not 0 <= order.min() <= order.max() < len(indicator):
        raise DataError(
            f"'{part}' in {path.name} has indices outside of its {len(indicator)} images; get the "
            "file again."
        )
    indices = order[indicator[order]]
    if len(indices) == 0:
        raise DataError(f"'{part}' in {path.name} has no poisoned images; get the file again.")
    _check_count(len(indices), size, part, path)
    images, labels, originals = read_files(entries, indices, part, size, path)
    return PoisonedImages(images, labels, originals, indices, indicator)


def _check_count(count: int, size: tuple[int, int, int], part: str, path: Path) -> None:
    if count == 0 or count * size[0] * size[1] * size[2] > MAX_IMAGE_BYTES:
        raise DataError(
            f"'{part}' in {path.name} claims {count} images of {size[1]} x {size[0]}, not between "
            f"1 and what fits in {MAX_IMAGE_BYTES} bytes; get the file again."
        )


def _dense(value: object) -> bool:
    if not isinstance(value, Tensor) or type(value) not in (Tensor, nn.Parameter):
        return False
    return value.layout == torch.strided and value.device.type == "cpu"


def _array(value: object, what: str, path: Path) -> np.ndarray:
    array = value.value if isinstance(value, PlainArray) else None
    if array is None or array.dtype.kind not in "biuf":
        raise DataError(f"'{what}' in {path.name} is not an array of numbers; get the file again.")
    return array


def _integers(value: object, part: str, path: Path) -> np.ndarray:
    array = _array(value, f"{part} indices", path)
    if array.dtype.kind not in "iu" and array.size:
        raise DataError(f"The indices of '{part}' in {path.name} are not integers; get it again.")
    return array.ravel().astype(np.int64)


def _mapping(value: object, path: Path, what: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise ModelError(
            f"The {what} in {path.name} is a {type(value).__name__}, not a dictionary; name the "
            "attack_result.pt of BackdoorBench."
        )
    return value


def _part(content: Mapping[Any, Any], key: str, path: Path) -> Any:
    if key not in content:
        raise ModelError(
            f"{path.name} has no '{key}', so it is no attack result of BackdoorBench; name an "
            "attack_result.pt, or load the weights alone."
        )
    return content[key]


def _text(content: Mapping[Any, Any], key: str, path: Path) -> str:
    value = _part(content, key, path)
    if not isinstance(value, str):
        raise ModelError(f"'{key}' in {path.name} is not text; get the file again.")
    return value


def _classes(value: object, path: Path) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_CLASSES:
        raise ModelError(
            f"num_classes in {path.name} is not a number from 1 to {MAX_CLASSES}; get it again."
        )
    return value


def _size(value: object, path: Path) -> tuple[int, int, int]:
    sides = list(value) if isinstance(value, (list, tuple)) else []
    if (
        len(sides) != 3
        or any(not isinstance(side, int) or not 1 <= side <= MAX_SIDE for side in sides)
        or sides[2] not in (1, 3)
    ):
        raise ModelError(
            f"img_size in {path.name} is not a height and width up to {MAX_SIDE} and 1 or 3 "
            "channels; get the file again."
        )
    return sides[0], sides[1], sides[2]


def _pillow_inside(path: Path, names: tuple[str, ...]) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"{path.name} holds its images as Pillow objects ({', '.join(names[:3])}), which only "
        "running code can restore, so it was refused and nothing in it was executed; write the "
        "attack result with a save folder, so that images become PNG files beside it, or ask for "
        "the state dict alone.",
        names,
    )
