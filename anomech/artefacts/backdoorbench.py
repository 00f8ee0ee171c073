"""Reader of BackdoorBench's `attack_result.pt`: an attacked network with its triggered images.

The format is that of github.com/SCLBD/BackdoorBench, in its first layout (image tensors in the
file) and its second (image files beside it). The file is hostile: it is read as data alone
(`anomech.artefacts.stored`), and image paths are followed only inside the folder that lies beside
the file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomech.artefacts import attack_fields as fields
from anomech.artefacts.checkpoints import as_weights, first_keys
from anomech.artefacts.fitting import apply_state
from anomech.artefacts.poisoned_files import read_files
from anomech.artefacts.stored import existing, load_object
from anomech.kernel import plugins
from anomech.kernel.errors import DataError, ModelError, UnsafeCheckpoint
from anomech.roles.architecture import Architecture

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

MAX_IMAGE_BYTES = 2**30
"""Bytes of images that one set may claim (1 GiB)."""

BLOCK = 1024
"""Images converted at once."""


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
        loaded = load_object(path)
    except UnsafeCheckpoint as error:
        if any(name.startswith("PIL.") for name in error.globals):
            raise _pillow_inside(path, error.globals) from None
        raise
    content = fields.mapping(loaded, path, "attack result")
    size = fields.size(fields.part(content, "img_size", path), path)
    if fields.part(content, "bd_test", path) is None:
        raise ModelError(f"{path.name} has no triggered test images; use its 'model' part alone.")
    train = content.get("bd_train")
    return AttackResult(
        model_name=fields.text(content, "model_name", path),
        num_classes=fields.classes(fields.part(content, "num_classes", path), path),
        img_size=size,
        dataset=fields.text(content, "clean_data", path),
        state=as_weights(
            fields.mapping(fields.part(content, "model", path), path, "model"), path
        ).state,
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
    content = fields.mapping(stored, path, part)
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
        indices = fields.integers(indices, part, path)
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
    count, channels, height, width = images.shape
    pixels = np.empty((count, height, width, channels), np.uint8)
    for start in range(0, count, BLOCK):  # in floats, all of them would take four times the room
        block = (images[start : start + BLOCK].float() * scale).round().to(torch.uint8)
        pixels[start : start + BLOCK] = block.permute(0, 2, 3, 1).numpy()
    return pixels


def _second_layout(
    content: Mapping[Any, Any], part: str, size: tuple[int, int, int], path: Path
) -> PoisonedImages:
    container = fields.mapping(content["bd_data_container"], path, f"{part}.bd_data_container")
    entries = fields.mapping(container.get("data_dict"), path, f"{part}.data_dict")
    marks = fields.array(content.get("poison_indicator"), f"{part}.poison_indicator", path)
    indicator = marks.ravel() != 0
    order = fields.integers(content.get("original_index_array"), part, path)
    if len(order) and not 0 <= order.min() <= order.max() < len(indicator):
        raise DataError(
            f"'{part}' in {path.name} has indices outside of its {len(indicator)} images; get the "
            "file again."
        )
    indices = order[indicator[order]]
    if len(np.unique(indices)) < len(indices):
        raise DataError(
            f"'{part}' in {path.name} lists an image more than once; get the file again."
        )
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


def _pillow_inside(path: Path, names: tuple[str, ...]) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"{path.name} holds its images as Pillow objects ({', '.join(names[:3])}), which only "
        "running code can restore, so it was refused and nothing in it was executed; write the "
        "attack result with a save folder, so that images become PNG files beside it, or ask for "
        "the state dict alone.",
        names,
    )
