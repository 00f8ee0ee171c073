"""Previews: the one place in the report that knows what kinds of example there are.

A picture is embedded once, as a definition, and shown by reference wherever it is needed. Bytes
come from a model's owner, so their path, form and size are checked before they enter the page.
"""

import base64
import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from markupsafe import Markup

from anomech.records import ExampleRow
from anomech.report.words import clean, clip
from anomech.storage.files import regular_file

LIMIT_ONE = 128 * 1024
"""Largest preview file, in bytes."""
LIMIT_ALL = 3 * 512 * 1024
"""All previews of a page together, in bytes: keeps the page below 3 MB after base64."""

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_SIDE = 2048
_PIXEL_ART = 64  # pictures up to this side are enlarged: hard pixels are truer than a blur
_TEXT = 320

Key = tuple[bool, str]


@dataclass(frozen=True)
class Embedded:
    """Previews ready for a page.

    Attributes:
        definitions: the embedded pictures, to be put into the page once.
        shown: what stands for one example, by (is an input, id).
    """

    definitions: Markup
    shown: Mapping[Key, Markup]

    def of(self, row: ExampleRow | None) -> Markup:
        """What stands for this example on the page."""
        if row is None:
            return _nothing("no preview")
        return self.shown.get(_key(row), _nothing("no preview"))


@dataclass
class _Page:
    """What has been embedded so far while previews are collected."""

    numbers: dict[str, int]
    definitions: list[Markup]
    size: int = 0

    def embed(self, data: bytes, width: int, height: int) -> str:
        """Put a picture on the page unless it is there; its name."""
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.numbers:
            self.numbers[digest] = len(self.numbers)
            name = f"picture-{self.numbers[digest]}"
            shape = "pixels" if max(width, height) <= _PIXEL_ART else "smooth"
            source = "data:image/png;base64," + base64.b64encode(data).decode("ascii")
            self.definitions.append(
                Markup('<image id="{}" class="{}" width="{}" height="{}" href="{}"/>\n').format(
                    name, shape, width, height, source
                )
            )
            self.size += len(data)
        return f"picture-{self.numbers[digest]}"


def load(folder: Path, rows: Iterable[ExampleRow]) -> Embedded:
    """Read the previews of these examples; the first come first if the page would grow too large.

    Args:
        folder: the run folder; nothing outside it is read.
        rows: the examples that the page shows, most important first.
    """
    page = _Page({}, [])
    shown: dict[Key, Markup] = {}
    for row in rows:
        if _key(row) not in shown:
            shown[_key(row)] = _preview(folder, row, page)
    return Embedded(Markup("").join(page.definitions), shown)


def _preview(folder: Path, row: ExampleRow, page: _Page) -> Markup:
    if row.preview is None:
        return _nothing("no preview")
    path = _inside(folder, row.preview)
    make = PREVIEWS.get(PurePosixPath(row.preview).suffix)
    if path is None or make is None:
        return _nothing("preview refused")
    try:
        with regular_file(path, follow=False) as file:
            data = file.read(LIMIT_ONE + 1)
    except OSError:
        return _nothing("preview missing")
    return make(data, row, page)


def _inside(folder: Path, name: str) -> Path | None:
    """The file, if the name stays inside the run folder, links followed."""
    plain = PurePosixPath(name)
    if plain.is_absolute() or ".." in plain.parts or any(bad in name for bad in "\\:\0"):
        return None
    path = folder / plain
    if not path.is_file():
        return path  # a missing file is said to be missing when it is opened
    return path if path.resolve().is_relative_to(folder.resolve()) else None


def _picture(data: bytes, row: ExampleRow, page: _Page) -> Markup:
    size = _png_size(data)
    if size is None or len(data) > LIMIT_ONE:
        return _nothing("not a small PNG")
    if page.size + len(data) > LIMIT_ALL:
        return _nothing("left out: page is full")
    width, height = size
    return Markup(
        '<svg class="picture" viewBox="0 0 {} {}" role="img" aria-label="{}">'
        '<use href="#{}"/></svg>'
    ).format(width, height, f"Picture of {_named(row)}", page.embed(data, width, height))


def _words(data: bytes, row: ExampleRow, page: _Page) -> Markup:
    text = clip(clean(data[: 4 * _TEXT + 4].decode("utf-8", errors="replace")), _TEXT)
    page.size += len(text)
    return Markup('<blockquote class="words" aria-label="{}">{}</blockquote>').format(
        f"Text of {_named(row)}", text
    )


def _png_size(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or not data.startswith(_PNG) or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return (
        (width, height) if 0 < min(width, height) <= max(width, height) <= _LARGEST_SIDE else None
    )


def _nothing(why: str) -> Markup:
    return Markup('<span class="nothing">{}</span>').format(why)


def _named(row: ExampleRow) -> str:
    return f"{clip(clean(row.id), 80)}, answered {clip(clean(row.answer), 80)}"


def _key(row: ExampleRow) -> Key:
    return row.role == "input", row.id


PREVIEWS: Mapping[str, Callable[[bytes, ExampleRow, _Page], Markup]] = {
    ".png": _picture,
    ".txt": _words,
}
"""How a preview file is shown, by its suffix."""
