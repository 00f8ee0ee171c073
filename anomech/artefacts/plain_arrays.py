"""Numpy arrays and numbers from a checkpoint, rebuilt without numpy's own unpickling.

Numpy's `dtype` and `ndarray` believe what a pickle says about memory layout, so a made-up pickle
could point them anywhere. The classes here answer to the same names inside torch's weights-only
loader, accept plain numbers only, and check every size. The names are those of numpy 1 and 2.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

NUMBERS = re.compile(r"[<>=|]?(b1|[iu][1248]|f[248])")


class PlainDtype:
    """Stands for `numpy.dtype`: a number type, little-endian unless its state says otherwise."""

    def __init__(self, code: str, align: object = False, copy: object = True) -> None:
        if not isinstance(code, str) or not NUMBERS.fullmatch(code):
            raise ValueError("only arrays of plain numbers are read")
        self.code = code.lstrip("<>=|")
        self.order = ">" if code.startswith(">") else "<"

    def __setstate__(self, state: object) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else None
        if order not in ("<", ">", "=", "|"):
            raise ValueError("a number type has an unknown byte order")
        self.order = ">" if order == ">" else "<"

    def native(self) -> np.dtype[Any]:
        """The numpy type."""
        return np.dtype(self.order + self.code)


class PlainArray:
    """Stands for `numpy.ndarray`: filled once, from a shape, a number type and bytes."""

    value: np.ndarray | None = None

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError("an array has an unknown form")
        _, shape, dtype, fortran, raw = state
        sides = shape if isinstance(shape, tuple) and len(shape) <= 8 else (-1,)
        if not isinstance(dtype, PlainDtype) or not isinstance(raw, bytes):
            raise ValueError("an array has an unknown form")
        size = dtype.native().itemsize
        for side in sides:
            if type(side) is not int or side < 0:
                raise ValueError("an array has an unknown shape")
            size *= side
        if size != len(raw):
            raise ValueError("an array does not hold what its shape says")
        flat = np.frombuffer(raw, dtype.native())
        self.value = flat.reshape(sides, order="F" if fortran else "C")


def reconstruct(*_: object) -> PlainArray:
    """Stands for numpy's function that makes an empty array, to be filled afterwards."""
    return PlainArray()


def scalar(dtype: object, raw: object) -> int | float | bool:
    """Stands for numpy's function that makes one number from bytes."""
    if not isinstance(dtype, PlainDtype) or not isinstance(raw, bytes):
        raise ValueError("only plain numbers are read")
    if len(raw) != dtype.native().itemsize:
        raise ValueError("a number has another size than its type")
    number: int | float | bool = np.frombuffer(raw, dtype.native())[0].item()
    return number


ALLOWED: tuple[tuple[Callable[..., Any], str], ...] = (
    (PlainDtype, "numpy.dtype"),
    (PlainArray, "numpy.ndarray"),
    (reconstruct, "numpy.core.multiarray._reconstruct"),
    (reconstruct, "numpy._core.multiarray._reconstruct"),
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
)
"""What to allow in the loader, with the names that files use."""
