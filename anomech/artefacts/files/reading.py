"""Bounded reading of strangers' text and JSON."""

import json
from typing import Any, BinaryIO

TEXT = 2**21
"""Bytes of a text that are looked at (2 MiB)."""

JSON = 3 * 2**24
"""Bytes of a JSON file that is read (48 MiB), large tokenizers included."""


class Unreadable(Exception):
    """A text or JSON file that is not read; `str()` completes "It ..."."""


def text_of(file: BinaryIO, most: int = TEXT) -> str:
    """The beginning of a text; bytes that are no character are shown as their codes."""
    return file.read(most).decode("utf-8", "backslashreplace")


def json_of(file: BinaryIO, size: int, most: int = JSON) -> Any:
    """The content of a JSON file.

    Raises:
        Unreadable: it is too large, nests too deeply, says a key twice or is no JSON.
    """
    if size > most:
        raise Unreadable(f"has {size} bytes, more than the {most >> 20} MiB that are read")
    return parsed(file.read(most))


def parsed(data: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        Unreadable: it nests too deeply, says a key twice or is no JSON.
    """
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_once)
    except RecursionError:
        raise Unreadable("nests too deeply") from None
    except ValueError as error:
        raise Unreadable(f"is no JSON ({str(error)[:80]})") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A mapping whose keys are said once: readers differ in which of two they take."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise Unreadable("says a key twice, and readers differ in which they take")
    return found
