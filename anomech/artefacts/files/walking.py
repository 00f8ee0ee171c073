"""All files of a folder, without following a link and without opening what is no regular file."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import shown
from anomech.kernel.errors import ModelError

MOST = 50_000
"""Entries of a folder that are listed; a model has some hundreds."""

DEEPEST = 32
"""Folders inside of folders."""

# Characters that no name needs: controls, and marks that turn the direction of what is read.
_ODD = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")

_BLOB = re.compile(r"\.\./\.\./(\.\./)*blobs/[0-9a-f]{40,64}")
"""Where links in the cache of the Hugging Face Hub lead."""


@dataclass(frozen=True)
class Place:
    """A regular file to look at.

    Attributes:
        path: on this machine.
        name: inside the folder, with slashes.
        size: bytes.
        linked: whether it is reached through a link that may be followed.
    """

    path: Path
    name: str
    size: int
    linked: bool = False


def walk(root: Path) -> tuple[list[Place], list[Issue]]:
    """Regular files below a folder, or the file itself, and what else lies there.

    Raises:
        ModelError: there is nothing of that name, or more than is listed.
    """
    if root.is_file():
        return [Place(root.resolve(), root.name, root.stat().st_size)], _name_issues(root.name)
    if not root.is_dir():
        what = "is neither a file nor a folder" if root.exists() else "does not exist"
        raise ModelError(f"{shown(str(root))} {what}; name a weights file or a model's folder.")
    places: list[Place] = []
    issues: list[Issue] = []
    for count, entry in enumerate(_entries(root, 0, issues, root)):
        if count >= MOST:
            raise ModelError(
                f"{shown(root.name)} has more than {MOST} entries; name the folder of one model."
            )
        name = Path(entry.path).relative_to(root).as_posix()
        issues += _name_issues(name)
        _take(root, entry, name, places, issues)
    return sorted(places, key=lambda place: place.name), issues


def _entries(
    folder: Path, depth: int, issues: list[Issue], root: Path
) -> Iterator["os.DirEntry[str]"]:
    """Everything below a folder that is no folder itself."""
    if depth > DEEPEST:
        where = folder.relative_to(root).as_posix()
        detail = f"What lies more than {DEEPEST} folders deep was not looked at."
        issues.append(issue("deep-folder", where, detail))
        return
    try:
        with os.scandir(folder) as found:
            listed = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise ModelError(
            f"{shown(folder.name)} cannot be listed ({error.strerror}); check its permissions."
        ) from None
    for entry in listed:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != ".git":  # its objects are no files of the model
                yield from _entries(Path(entry.path), depth + 1, issues, root)
        else:
            yield entry


def _take(
    root: Path, entry: "os.DirEntry[str]", name: str, places: list[Place], issues: list[Issue]
) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISREG(mode):
        places.append(Place(Path(entry.path), name, entry.stat(follow_symlinks=False).st_size))
    elif stat.S_ISLNK(mode):
        _link(root, Path(entry.path), name, places, issues)
    else:
        detail = "Whoever opens it waits, or reads and writes something that is no file."
        issues.append(issue("special-file", name, detail))


def _link(root: Path, path: Path, name: str, places: list[Place], issues: list[Issue]) -> None:
    """Follow a link that stays inside, or leads where the Hub's cache keeps its files."""
    target = os.readlink(path)
    real = path.resolve()
    inside = real.is_relative_to(root.resolve())
    cached = _BLOB.fullmatch(target) is not None and real.parent.name == "blobs"
    if (inside or cached) and real.is_file():
        places.append(Place(real, name, real.stat().st_size, linked=True))
        return
    what = "leads to nothing" if not real.exists() else "leads to a folder"
    detail = (
        f"It points to '{shown(target)}'. Who loads or unpacks the model would read, or overwrite, "
        "what lies there."
        if not inside
        else f"It {what}: '{shown(target)}'."
    )
    issues.append(issue("link" if inside else "link-out", name, detail))


def _name_issues(name: str) -> list[Issue]:
    if not _ODD.search(name):
        return []
    detail = "It holds control characters or marks that change how it is read."
    return [issue("odd-name", name, detail)]
