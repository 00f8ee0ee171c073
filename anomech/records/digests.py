"""Digests of a run's files, by which a change after the run shows.

They stand in `run.json`, which has none of its own: they show what was changed by a slip or
without care, not what someone forges who also rewrites the record.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from anomech.storage.files import regular_file

TOP = (
    *("plan.yaml", "examples.jsonl", "verdicts.jsonl", "files.jsonl", "findings.json"),
    "repaired.safetensors",
)
FOLDERS = (
    *(("scores", "*.jsonl"), ("scanners", "*.json"), ("previews", "*")),
    *(("methods", "*"), ("checks", "*.json")),
)
"""What a run writes, apart from its record and the page made from all of it."""

BLOCK = 2**20


class Digested(Protocol):
    """The top record of a run or a scan, which holds digests of its files."""

    @property
    def files(self) -> Mapping[str, str]: ...


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files of a run by their path inside its folder, in the order of the paths."""
    names = [name for name in TOP if (folder / name).is_file()]
    for inside, pattern in FOLDERS:
        names += [f"{inside}/{path.name}" for path in (folder / inside).glob(pattern)]
    return {name: _digest(folder / name) for name in sorted(names)}


def changed(folder: Path, run: Digested) -> tuple[str, ...]:
    """Files that are not as the run left them, or are gone; none are known of earlier versions."""
    return tuple(name for name, digest in run.files.items() if _found(folder, name) != digest)


def _found(folder: Path, name: str) -> str | None:
    inside, _, last = name.rpartition("/")
    if not last or inside not in ("", *(folder for folder, _ in FOLDERS)):
        return None  # a record that was tampered with leads out of its folder
    try:
        return _digest(folder / name)
    except OSError:
        return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with regular_file(path, follow=False) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()
