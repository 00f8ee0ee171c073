"""Arrays of numpy: those of objects are pickles behind a header."""

import re
import tempfile
from typing import BinaryIO, cast

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.pickles import check_pickle
from anomech.artefacts.files.rules import issue

_OBJECTS = re.compile(rb"""['"][<>|=]?O\d?['"]""")

MOST = 2**26
"""Bytes of a pickle behind a header (64 MiB)."""


def check_array(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a file of `numpy.save`."""
    version = file.read(8)[6:7]
    width = 2 if version == b"\x01" else 4
    length = int.from_bytes(file.read(width), "little")
    if length > min(2**16, size):
        return [issue("damaged-archive", name, "Its header is longer than any array's.")]
    if not _OBJECTS.search(file.read(length)):
        return []
    with tempfile.TemporaryFile() as rest:
        rest.write(file.read(MOST))
        rest.seek(0)
        _, found = check_pickle(cast(BinaryIO, rest), name, size)
    said = "Its elements are objects in a pickle, which numpy loads only if it is told to."
    return found or [issue("object-array", name, said)]
