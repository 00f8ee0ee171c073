"""Manifests: a CSV file that lists image files, with a label each or without.

The first row names the columns: `path` (or file, file_name, filename, image) and, if there are
labels, `label` (or class, target). Paths are relative to the folder of the manifest and must stay
inside of it. Labels are class numbers if all of them are whole numbers, and names of classes, in
sorted order, otherwise.
"""

import csv
from pathlib import Path, PurePosixPath

from anomech.data.compact import packed
from anomech.data.image_search import Found, check_link
from anomech.data.labels import as_classes
from anomech.kernel.errors import DataError, shown

PATHS = ("path", "file", "file_name", "filename", "image")
LABELS = ("label", "class", "target")

MOST_BYTES = 2**28
"""Longest manifest that is read (256 MiB)."""


def read_manifest(path: Path) -> Found:
    """The image files of a manifest, in its order.

    Raises:
        DataError: it cannot be read, names a file outside of its folder or one that is not there,
            or gives some files a label and others none.
    """
    root = path.resolve().parent
    names, labels = [], []
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path.name} is longer than {MOST_BYTES >> 20} MiB; split it.")
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            where, what = _columns(path, [name or "" for name in rows.fieldnames or ()])
            for row in rows:
                names.append(_inside(row[where], root, path.name, rows.line_num))
                if what is not None:
                    labels.append(row[what])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path.name} cannot be read ({error}); write it as CSV in UTF-8 with the columns path "
            "and label."
        ) from None
    if not names:
        raise DataError(f"{path.name} lists no images; give it a row for each.")
    if not labels:
        return Found(packed(names), None, None, ())
    if not all(labels):
        raise DataError(f"{path.name} gives some images no label; give all one, or none.")
    numbers, classes = as_classes(labels, path.name)
    return Found(packed(names), numbers, classes, ())


def _columns(path: Path, given: list[str]) -> tuple[str, str | None]:
    known = {name.strip().lower(): name for name in given}
    where = next((known[name] for name in PATHS if name in known), None)
    if where is None:
        raise DataError(
            f"{path.name} has no column 'path' in its first row (found: "
            f"{shown(', '.join(given[:5]))}); name the columns path and label."
        )
    return where, next((known[name] for name in LABELS if name in known), None)


def _inside(given: str | None, root: Path, manifest: str, line: int) -> str:
    """A path of the manifest relative to its folder, in the form that names have."""
    text = (given or "").strip()
    there = root / text if text and "\0" not in text else None
    if there is None or PurePosixPath(text).is_absolute() or ".." in PurePosixPath(text).parts:
        raise DataError(
            f"{manifest}, line {line}, names {shown(given)}, which is not inside its folder; put "
            "the manifest above the images and write paths relative to it."
        )
    try:
        is_file = there.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise DataError(
            f"{manifest}, line {line}, names {shown(text)}, which is not there; correct the path."
        )
    check_link(there, root)
    return PurePosixPath(text).as_posix()
