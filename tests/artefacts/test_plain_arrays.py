"""Arrays from pickles are rebuilt from plain numbers only, and every size is checked."""

import numpy as np
import pytest

from anomech.artefacts.plain_arrays import PlainArray, PlainDtype, reconstruct, scalar


def rebuilt(array):
    """The array, taken through its own pickle's parts."""
    _, _, (version, shape, dtype, fortran, raw) = array.__reduce__()
    stand_in = PlainDtype(dtype.__reduce__()[1][0])
    stand_in.__setstate__(dtype.__reduce__()[2])
    made = reconstruct(PlainArray, (0,), b"b")
    made.__setstate__((version, shape, stand_in, fortran, raw))
    return made.value


@pytest.mark.parametrize("code", ["<i8", ">i4", "u1", "<f8", ">f4", "?", "<f2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_plain_arrays_come_back(code, order):
    array = np.arange(12).reshape(3, 4).astype(code, order=order)
    found = rebuilt(array)
    np.testing.assert_array_equal(found, array)
    assert found.dtype.kind == array.dtype.kind


@pytest.mark.parametrize(
    "code", ["O", "O8", "V8", "U3", "S3", "i4,O", "M8[ns]", "", None, "|O8", "i3"]
)
def test_other_types_are_refused(code):
    with pytest.raises(ValueError, match="plain numbers"):
        PlainDtype(code)


INTEGER = PlainDtype("i8")


@pytest.mark.parametrize(
    "state",
    [
        (1, (2,), INTEGER, False, bytes(8)),
        (1, (-1,), INTEGER, False, bytes(8)),
        (1, (True,), INTEGER, False, bytes(8)),
        (1, (2**40, 2**40), INTEGER, False, b""),
        (1, (1,) * 9, INTEGER, False, bytes(8)),
        (1, [1], INTEGER, False, bytes(8)),
        (1, (1,), np.dtype("i8"), False, bytes(8)),
        (1, (1,), INTEGER, False, [object()]),
        ((1,), INTEGER, False, bytes(8)),
        None,
    ],
)
def test_states_that_lie_are_refused(state):
    with pytest.raises(ValueError, match="array"):
        PlainArray().__setstate__(state)


def test_numbers():
    assert scalar(INTEGER, (7).to_bytes(8, "little")) == 7
    assert type(scalar(INTEGER, bytes(8))) is int
    for arguments in ((INTEGER, bytes(7)), (np.dtype("O"), bytes(8)), (INTEGER, "7")):
        with pytest.raises(ValueError, match="number"):
            scalar(*arguments)


@pytest.mark.parametrize(
    "state", [None, (3,), (3, "x"), (3, None, None, ("a",), {"a": 1}, 8, 1, 0)]
)
def test_type_states_that_say_more_are_refused(state):
    with pytest.raises(ValueError, match="byte order"):
        PlainDtype("i8").__setstate__(state)
