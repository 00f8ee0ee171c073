"""Large arrays that stay in their file: rows are read by seeking when they are asked for.

Not mapped into memory: mapped pages count as memory of the process, and a file that shrinks would
end it.
"""

import os
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from anomech.kernel.errors import DataError


@dataclass(frozen=True, eq=False)
class ArrayFile:
    """An uint8 array `[n, ...]` in row order inside an open file; calling it gives rows.

    Attributes:
        file: open for reading, without a buffer; it is closed when the array is forgotten.
        name: of the file, for messages.
        offset: where the first row begins, bytes.
        shape: of the array.
        stamp: size and time of change of the file when it was opened.
    """

    file: BinaryIO = field(repr=False)
    name: str
    offset: int
    shape: tuple[int, ...]
    stamp: tuple[int, int]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows uint8 `[k, ...]` at `rows` `[k]`.

        Raises:
            DataError: the file was changed since it was opened, or cannot be read any more.
        """
        batch = np.empty((len(rows), *self.shape[1:]), np.uint8)
        if not batch.size:
            return batch
        flat = batch.reshape(len(rows), -1)
        if stamp(self.file) != self.stamp:
            raise DataError(f"{self.name} was changed while it was in use; start again.")
        try:
            for run in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
                self.file.seek(self.offset + int(rows[run[0]]) * flat.shape[1])
                _fill(self.file, flat[run[0] : run[-1] + 1].data.cast("B"))
        except OSError as error:
            raise DataError(
                f"{self.name} cannot be read any more ({error.strerror}); check the disk, then "
                "run the same command again."
            ) from None
        return batch


def stamp(file: BinaryIO) -> tuple[int, int]:
    """Size in bytes and time of the last change in nanoseconds of an open file."""
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _fill(file: BinaryIO, room: memoryview) -> None:
    while room:
        count = file.readinto(room)  # type: ignore[attr-defined]
        if not count:
            raise OSError(0, "it ends too early")
        room = room[count:]
