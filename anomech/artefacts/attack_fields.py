"""Fields of an attack result, each checked for what it may be; a wrong one is one sentence."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from anomech.kernel.errors import DataError, ModelError

MAX_CLASSES = 100_000
MAX_SIDE = 1024
"""Bounds on what a file may claim: classes, and pixels a side."""


def array(value: object, what: str, path: Path) -> np.ndarray:
    """An array of numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise DataError(f"'{what}' in {path.name} is not an array of numbers; get the file again.")
    return value


def integers(value: object, part: str, path: Path) -> np.ndarray:
    """Integers as one row, int64 `[n]`."""
    found = array(value, f"{part} indices", path)
    if found.dtype.kind not in "iu" and found.size:
        raise DataError(f"The indices of '{part}' in {path.name} are not integers; get it again.")
    return found.ravel().astype(np.int64)


def mapping(value: object, path: Path, what: str) -> Mapping[Any, Any]:
    """A dictionary."""
    if not isinstance(value, Mapping):
        raise ModelError(
            f"The {what} in {path.name} is a {type(value).__name__}, not a dictionary; name the "
            "attack_result.pt of BackdoorBench."
        )
    return value


def part(content: Mapping[Any, Any], key: str, path: Path) -> Any:
    """What stands under a key that must be there."""
    if key not in content:
        raise ModelError(
            f"{path.name} has no '{key}', so it is no attack result of BackdoorBench; name an "
            "attack_result.pt, or load the weights alone."
        )
    return content[key]


def text(content: Mapping[Any, Any], key: str, path: Path) -> str:
    """A text that must be there."""
    value = part(content, key, path)
    if not isinstance(value, str):
        raise ModelError(f"'{key}' in {path.name} is not text; get the file again.")
    return value


def classes(value: object, path: Path) -> int:
    """A number of classes."""
    if not isinstance(value, int) or not 1 <= value <= MAX_CLASSES:
        raise ModelError(
            f"num_classes in {path.name} is not a number from 1 to {MAX_CLASSES}; get it again."
        )
    return value


def size(value: object, path: Path) -> tuple[int, int, int]:
    """Height, width and channels of images."""
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
