"""From a path to all that is known of its files: each is typed by its bytes, hashed and checked."""

import hashlib
from pathlib import Path

from anomech.artefacts.files.checks import checked
from anomech.artefacts.files.found import FoundFile, Issue, Looked
from anomech.artefacts.files.kinds import kind_of
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.walking import Place, walk
from anomech.artefacts.stored import shown
from anomech.kernel.types import Progress
from anomech.storage.files import regular_file

BLOCK = 2**22


def look_through(path: str | Path, progress: Progress) -> Looked:
    """Look at a file, or at every file of a folder; nothing in any of them is run.

    Args:
        path: of the file or folder.
        progress: told the stage "looking through files".

    Raises:
        ModelError: there is no such file or folder.
    """
    root = Path(path)
    places, issues = walk(root)
    files = []
    for done, place in enumerate(places, start=1):
        file, more = _look(place)
        files.append(file)
        issues += more
        progress("looking through files", done, len(places))
    return Looked(root.resolve().name, tuple(files), tuple(issues))


def _look(place: Place) -> tuple[FoundFile, list[Issue]]:
    name = shown(place.name)
    try:
        with regular_file(place.path) as file:
            digest = hashlib.sha256()
            while block := file.read(BLOCK):
                digest.update(block)
            file.seek(0)
            kind = kind_of(file, place.name, place.size)
            notes, issues = checked(kind, file, name, place.size)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        unread = issue("unreadable-file", place.name, f"The system says: {why}.")
        return FoundFile(name, "unknown", place.size), [unread]
    linked = ("it is reached through a link",) if place.linked else ()
    return (
        FoundFile(
            name, kind.words, place.size, digest.hexdigest(), kind.weights, (*linked, *notes)
        ),
        issues,
    )
