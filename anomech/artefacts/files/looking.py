"""From a path to all that is known of its files: each is typed by its bytes, hashed and checked."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from anomech.artefacts.files.checks import checked
from anomech.artefacts.files.folders import Folder, check_folder
from anomech.artefacts.files.found import FoundFile, Issue, Looked
from anomech.artefacts.files.headers import check_safetensors
from anomech.artefacts.files.kinds import MODELS, Kind, kind_of
from anomech.artefacts.files.numbers import check_numbers
from anomech.artefacts.files.opinions import ASKED, check_installed, second_opinion
from anomech.artefacts.files.pickles import NOT_TORCH
from anomech.artefacts.files.reading import Unreadable, json_of
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.signatures import NAMES, check_signature
from anomech.artefacts.files.walking import Place, walk
from anomech.artefacts.stored import shown
from anomech.kernel.errors import ModelError
from anomech.kernel.types import Progress
from anomech.storage.files import regular_file

BLOCK = 2**22

SETTINGS = 2**24
"""Bytes of a JSON file that is compared with others (16 MiB); tokenizers are larger."""

Seen = list[tuple[Place, Kind, FoundFile]]


def look_through(path: str | Path, progress: Progress, *, ask_picklescan: bool = False) -> Looked:
    """Look at a file, or at every file of a folder; nothing in any of them is run.

    Args:
        path: of the file or folder.
        progress: told the stage "looking through files".
        ask_picklescan: whether to ask it for a second opinion on pickles.

    Raises:
        ConfigError: picklescan is asked for and not installed.
        ModelError: there is no such file or folder, or nothing is in it.
    """
    if ask_picklescan:
        check_installed()
    root = Path(path)
    places, issues = walk(root)
    if not places and not issues:
        raise ModelError(f"{shown(str(root))} is empty; name a weights file or a model's folder.")
    seen: Seen = []
    for done, place in enumerate(places, start=1):
        kind, file, more = _look(place, ask_picklescan)
        seen.append((place, kind, file))
        issues += more
        progress("looking through files", done, len(places))
    files = tuple(file for _, _, file in seen)
    issues += [each for folder in _folders(seen) for each in check_folder(folder)]
    issues += _signatures(seen, files)
    return Looked(root.resolve().name, files, tuple(issues))


def _look(place: Place, ask_picklescan: bool) -> tuple[Kind, FoundFile, list[Issue]]:
    name = shown(place.name, 400)
    try:
        with regular_file(place.path, follow=False) as file:
            digest = _digest(file)
            kind, notes, issues = _checked(file, place)
            if ask_picklescan and kind in ASKED:
                file.seek(0)
                said, more = second_opinion(file, place.name, issues)
                notes, issues = (*notes, *said), [*issues, *more]
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        unread = issue("unreadable-file", place.name, f"The system says: {why}.")
        return Kind.UNKNOWN, FoundFile(name, "unknown", place.size), [unread]
    if _numbers_matter(kind, notes) and not issues:
        issues += check_numbers(place.path, kind, place.name)
    notes = (*notes, "it is reached through a link") if place.linked else notes
    found = FoundFile(name, kind.words, place.size, digest, kind.weights, kind in MODELS, notes)
    return kind, found, issues


def _checked(file: BinaryIO, place: Place) -> tuple[Kind, tuple[str, ...], list[Issue]]:
    """Kind, notes and issues of an open file; one that breaks its check is an issue itself."""
    kind = Kind.UNKNOWN
    try:
        kind = kind_of(file, place.name, place.size)
        return kind, *checked(kind, file, place.name, place.size)
    except (OSError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
        said = f"It ended its check ({type(error).__name__})."
        return kind, (), [issue("unchecked-file", place.name, said)]


def _numbers_matter(kind: Kind, notes: Sequence[str]) -> bool:
    """Whether a file holds tensors; a pickle that torch.save did not write does not."""
    return kind.weights and NOT_TORCH not in notes


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while block := file.read(BLOCK):
        digest.update(block)
    file.seek(0)
    return digest.hexdigest()


def _folders(seen: Seen) -> Iterator[Folder]:
    """Each folder with what its files say of each other."""
    inside: dict[str, Seen] = {}
    for each in seen:
        parent = str(PurePosixPath(each[0].name).parent)
        inside.setdefault("" if parent == "." else parent, []).append(each)
    for name, rows in inside.items():
        headers, settings = {}, {}
        for place, kind, _ in rows:
            last = PurePosixPath(place.name).name
            if kind is Kind.SAFETENSORS:
                with regular_file(place.path) as file:
                    header, wrong = check_safetensors(file, place.size)
                if header is not None and not wrong:
                    headers[last] = header
            elif kind is Kind.JSON and isinstance(content := _json(place), dict):
                settings[last] = content
        yield Folder(
            name, frozenset(PurePosixPath(each[0].name).name for each in rows), headers, settings
        )


def _json(place: Place) -> Any:
    """The content of a JSON file; None if it has none that is compared."""
    try:
        with regular_file(place.path) as file:
            return json_of(file, place.size, SETTINGS)
    except (Unreadable, OSError):
        return None


def _signatures(seen: Seen, files: Sequence[FoundFile]) -> Iterator[Issue]:
    for place, _, file in seen:
        if PurePosixPath(place.name).name in NAMES:
            yield from check_signature(_json(place), file.path, files)
