"""Reader of the image archives in an `ANOMECH_DATA` folder.

An archive is an `.npz` with `data` (uint8, a zlib stream), `shape` (n, h, w, c), `labels` and
`index`. For colour the coded planes are G, R-G and B-G modulo 256; each value is its difference,
modulo 256, from the median-edge-detector prediction (the LOCO-I predictor) of its left, upper and
upper-left neighbors. Decoding is lossless.
"""

import zlib
from pathlib import Path

import numpy as np

from anomech.kernel.errors import DataError


def read_archive(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[n, h, w, c]` and labels int64 `[n]`.

    Raises:
        DataError: the file is missing or is not such an archive.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            shape = tuple(int(side) for side in archive["shape"])
            stream = archive["data"].tobytes()
            labels = archive["labels"].astype(np.int64)
        return _decode(stream, shape), labels
    except (OSError, KeyError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path.name} is not a readable image archive ({error}); point ANOMECH_DATA to a "
            "folder that holds vision/*.npz."
        ) from None


def _decode(stream: bytes, shape: tuple[int, ...]) -> np.ndarray:
    count, height, width, channels = shape
    residual = np.frombuffer(zlib.decompress(stream), np.uint8)
    planes = residual.reshape(channels, count, height, width).transpose(2, 3, 0, 1)
    planes = np.ascontiguousarray(planes).astype(np.int16)  # height and width first: rows in cache
    for row in range(height):
        for column in range(width):
            planes[row, column] += _predict(planes, row, column)
            planes[row, column] &= 255
    decoded = planes.astype(np.uint8)
    if channels == 3:
        green, red, blue = decoded[:, :, 0], decoded[:, :, 1], decoded[:, :, 2]
        decoded = np.stack([red + green, green, blue + green], axis=2)
    return np.ascontiguousarray(decoded.transpose(3, 0, 1, 2))


def _predict(planes: np.ndarray, row: int, column: int) -> np.ndarray | int:
    if row == 0:
        return planes[0, column - 1] if column else 0
    above = planes[row - 1, column]
    if column == 0:
        return above
    left, corner = planes[row, column - 1], planes[row - 1, column - 1]
    low, high = np.minimum(left, above), np.maximum(left, above)
    return np.clip(left + above - corner, low, high)
