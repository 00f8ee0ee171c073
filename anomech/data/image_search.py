"""Which files of a folder are images.

The rules, chosen so that a folder means the same thing on every machine:

- A file with an image suffix counts, and must then be readable. Without one it counts if its first
  bytes are those of a PNG, JPEG, GIF, WEBP or BMP file that opens. All else is left out and counted
  with the reason.
- Files and folders whose names begin with `.` or `__`, and what file managers leave behind, are
  left out as hidden or system files.
- Classes are the sub-folders in sorted order, empty ones included; images may lie deeper.
- A symbolic link may point to a file inside the folder. One that leaves it, or that points to a
  folder, is refused.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from anomech.data.compact import Texts, packed
from anomech.data.remarks import Counted, FileRemark
from anomech.kernel.errors import DataError, shortened

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".webp", ".tif", ".tiff"),
)

BY_CONTENT = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
"""Formats that are recognized under any name. A TIFF is none of them: a raw photograph is one too,
and would be read as its thumbnail; nor is a PPM, which begins like a text."""

UNREAD = {
    b"ftypavif": "AVIF",
    b"ftypavis": "AVIF",
    b"ftypheic": "HEIC",
    b"ftypheix": "HEIC",
    b"ftypmif1": "HEIF",
}
"""Pictures that are not read, by bytes 4 to 12: whether Pillow can depends on how it was built."""

SYSTEM = ("thumbs.db", "desktop.ini", "icon\r")

DEEPEST = 64
"""Folders inside each other that are searched."""


class Found(NamedTuple):
    """Image files under a folder, in a fixed order.

    Attributes:
        names: paths relative to the folder, with forward slashes.
        labels: class of each, int64 `[n]`; None without class folders.
        class_names: None without class folders.
        remarks: on what was left out.
    """

    names: Texts
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    remarks: tuple[FileRemark, ...]


def find_images(root: Path) -> Found:
    """Image files under `root`.

    Raises:
        DataError: no images, images both beside and inside sub-folders, folders nested too deeply,
            or an unsafe link.
    """
    root, counted = root.resolve(), Counted()
    folders, loose = _entries(root, root, counted)
    if loose:
        if any(True for folder in folders for _ in _walk(folder, root, counted)):
            raise DataError(
                f"{root.name} holds images ({shortened(loose[0])}) beside class folders "
                f"({shortened(folders[0].name)}); move the loose images away, or name one class "
                "folder."
            )
        return Found(packed(loose), None, None, counted.remarks())
    sizes = [0] * len(folders)
    names = packed(_labeled(folders, root, sizes, counted))
    remarks = counted.remarks()
    if not names:
        left_out = "".join(f"; {each.count} {each.what}" for each in remarks[:3])
        raise DataError(
            f"{root.name} holds no images ({', '.join(SUFFIXES[:3])}, ...{left_out}); name a "
            "folder of images, a folder of class folders, or an .npz file."
        )
    labels = np.repeat(np.arange(len(folders)), sizes)
    return Found(names, labels, tuple(each.name for each in folders), remarks)


def check_link(path: Path, root: Path) -> None:
    """Refuse a link that leaves the folder or points to a folder.

    Raises:
        DataError: says which.
    """
    try:
        safe = path.resolve().is_relative_to(root) and not path.is_dir()
    except (OSError, RuntimeError):  # links that go in a circle
        safe = False
    if not safe:
        raise DataError(
            f"{shortened(path.relative_to(root).as_posix())} is a link to a folder or out of "
            f"{root.name}; replace it by a copy of what it points to."
        )


def _labeled(
    folders: Sequence[Path], root: Path, sizes: list[int], counted: Counted
) -> Iterator[str]:
    for label, folder in enumerate(folders):
        for name in _walk(folder, root, counted):
            sizes[label] += 1
            yield name


def _walk(folder: Path, root: Path, counted: Counted) -> Iterator[str]:
    """Images of a folder and all inside of it, each folder's own first."""
    waiting = [folder]
    while waiting:
        inner = waiting.pop()
        if len(inner.relative_to(root).parts) > DEEPEST:
            raise DataError(
                f"{root.name} has folders nested more than {DEEPEST} deep "
                f"({shortened(inner.relative_to(root).as_posix(), 80)}); move the images up."
            )
        folders, names = _entries(inner, root, counted)
        yield from names
        waiting += reversed(folders)


def _entries(folder: Path, root: Path, counted: Counted) -> tuple[list[Path], list[str]]:
    """Sub-folders and relative image names of one folder, each sorted; the rest is counted."""
    folders, names = [], []
    prefix = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                if entry.name.startswith((".", "__")) or entry.name.lower() in SYSTEM:
                    counted.add("hidden or system files", prefix + entry.name)
                    continue
                by_name = os.path.splitext(entry.name)[1].lower() in SUFFIXES
                if entry.is_symlink() and (by_name or entry.is_dir()):
                    check_link(Path(entry.path), root)
                if entry.is_dir():
                    folders.append(Path(entry.path))
                elif not entry.is_file():  # a pipe would block when opened
                    counted.add("pipes, devices or broken links", prefix + entry.name)
                elif by_name or _is_image(entry, root, prefix, counted):
                    names.append(prefix + entry.name)
    except OSError as error:
        raise DataError(
            f"the folder {shortened(folder.name)} cannot be listed ({error.strerror}); check its "
            "permissions."
        ) from None
    return folders, names


def _is_image(entry: "os.DirEntry[str]", root: Path, prefix: str, counted: Counted) -> bool:
    """Whether a file without an image suffix is an image by its content; counted if not."""
    name = prefix + entry.name
    if entry.is_symlink() and not Path(entry.path).resolve().is_relative_to(root):
        counted.add("links out of the folder", name)
        return False
    try:
        with open(entry.path, "rb") as file:
            start = file.read(12)
    except OSError:
        counted.add("files that cannot be opened", name, picture=True)
        return False
    if (kind := UNREAD.get(start[4:12])) is not None:
        counted.add(f"{kind} pictures, which are not read", name, picture=True)
        return False
    try:
        with Image.open(entry.path, formats=BY_CONTENT):
            return True
    except Exception:  # decoders answer other files with any exception
        suffix = os.path.splitext(entry.name)[1].lower()
        kind = f"{suffix} files" if 1 < len(suffix) <= 8 else "files of other kinds"
        counted.add(f"{kind} that are no images", name)
        return False
