"""Groups and masks as a person gives them: a CSV file by the ids of the examples, and an array."""

import csv
from contextlib import suppress
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError, DataError, shown
from anomech.kernel.types import Examples

MOST_BYTES = 2**28
"""Longest file of groups that is read."""

MOST = 50
"""Groups at the most; a column with more is hardly one of groups."""


def read_groups(path: Path, column: str, ids: list[str]) -> tuple[np.ndarray, list[str], str]:
    """The group of each example.

    Args:
        path: of a CSV file with a column `id` and one column or more of groups.
        column: of the groups; empty is the first besides `id`.
        ids: of the examples.

    Returns:
        Places of the groups `[examples]`, -1 for an example without one; their names, sorted; and
        the name of the column.

    Raises:
        DataError: it cannot be read, names no example, or has one group or very many.
        ConfigError: it has no such column.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path.name} is longer than {MOST_BYTES >> 20} MiB; split it.")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            known = [name for name in rows.fieldnames or () if name]
            column = _column(path, known, column)
            given = {str(row["id"]): str(row[column] or "").strip() for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path.name} cannot be read ({error}); write it as CSV in UTF-8 with the columns id "
            "and group."
        ) from None
    own = [given.get(name) or given.get(_plain(name), "") for name in ids]
    names = sorted({group for group in own if group})
    if not names:
        raise DataError(
            f"{path.name} names none of the examples; its ids must be those of the examples, such "
            f"as {shown(ids[0])}."
        )
    if not 2 <= len(names) <= MOST:
        raise DataError(
            f"the column {shown(column)} has {len(names)} groups; 2 to {MOST} can be compared."
        )
    places = {name: place for place, name in enumerate(names)}
    return np.array([places.get(group, -1) for group in own]), names, column


def _plain(name: str) -> str:
    """The id of an array's row without leading zeros, as a person would write it."""
    return str(int(name)) if name.isdecimal() else name


def _column(path: Path, known: list[str], wanted: str) -> str:
    if "id" not in known or len(known) < 2:
        raise DataError(f"{path.name} needs a column 'id' and one of groups in its first row.")
    if not wanted:
        return next(name for name in known if name != "id")
    if wanted not in known or wanted == "id":
        others = [name for name in known if name != "id"]
        raise ConfigError(
            f"{path.name} has no column of groups '{wanted}': {nearest(wanted, others)}"
        )
    return wanted


def read_masks(path: Path, examples: Examples, size: tuple[int, int]) -> np.ndarray:
    """Where the object is in each picture, bool `[examples, h, w]`.

    Args:
        path: of an `.npz` with an array `masks` in the order of the examples, or of an `.npy`.
        examples: that they belong to.
        size: height and width of the pictures.

    Raises:
        DataError: it cannot be read, or does not fit.
    """
    masks = None
    with suppress(OSError, ValueError, KeyError, EOFError, BadZipFile):
        given = np.load(path, allow_pickle=False)
        masks = given if isinstance(given, np.ndarray) else given["masks"]
    expected = (len(examples), *size)
    if masks is None or masks.shape != expected:
        found = "no array 'masks' that can be read" if masks is None else f"masks {masks.shape}"
        raise DataError(
            f"{path.name} holds {found}; give one of shape {expected}, not zero at the object."
        )
    return np.asarray(masks != 0)
