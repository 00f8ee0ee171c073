"""Writing and reading records: whole or not at all, and never more than one line in memory.

A run folder may come from a stranger: what is read is a regular file of bounded size and no link,
and what is written goes through none (`anomech.storage.files`).
"""

import io
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO, TypeVar

import pydantic

from anomech.kernel.errors import RunError
from anomech.records.run import Finding, Record
from anomech.storage.files import read_regular, regular_file, replaced

AnyRecord = TypeVar("AnyRecord", bound=Record)

MAX_RECORD = 2**28
"""Bytes of a file that is read at once (256 MiB)."""

SCHEMA = "schema_version"
"""Field of a top record that says its format."""

MAX_LINE = 2**24
"""Characters of one row."""


@contextmanager
def whole_file(path: Path) -> Iterator[TextIO]:
    """A text file that takes its place when the block ends well, and is not there otherwise.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8", newline="\n", write_through=True)
            yield file
            file.detach()
    except OSError as error:
        raise _unwritten(path, error) from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        RunError: the disk is full or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as file:
            file.write(data)
    except OSError as error:
        raise _unwritten(path, error) from None


def _unwritten(path: Path, error: OSError) -> RunError:
    return RunError(
        f"{path.name} could not be written ({error.strerror}); free some space or name another "
        "place, then run the same command again: finished work is kept."
    )


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with whole_file(path) as file:
        file.write(text)


def write_record(path: Path, record: Record) -> None:
    """Write one record as indented JSON."""
    write_text(path, record.model_dump_json(indent=2, exclude_none=True) + "\n")


def write_rows(path: Path, rows: Iterable[Record]) -> None:
    """Write records as JSON lines, one after the other."""
    with whole_file(path) as file:
        for row in rows:
            file.write(row_text(row))


def row_text(row: Record) -> str:
    """A record as a JSON line."""
    return row.model_dump_json(exclude_none=True) + "\n"


def write_findings(path: Path, findings: Iterable[Finding]) -> None:
    """Write findings as one JSON list."""
    rows = [finding.model_dump(exclude_none=True) for finding in findings]
    write_text(path, json.dumps(rows, indent=2) + "\n")


def read_record(path: Path, cls: type[AnyRecord], most: int = MAX_RECORD) -> AnyRecord:
    """Read one record from a file of at most `most` bytes.

    Raises:
        RunError: the file is missing or is not such a record.
    """
    return _parse(path, cls, _read(path, most))


def read_top(folder: Path, name: str, cls: type[AnyRecord], command: str) -> AnyRecord:
    """Read the record that a folder is known by, in the format that this version writes.

    Args:
        folder: that a command wrote.
        name: of the record's file.
        cls: of the record; it has a `schema_version`.
        command: that writes such folders, such as "audit".

    Raises:
        RunError: there is no such folder, the record is damaged or of another format.
    """
    if not folder.is_dir():
        raise RunError(
            f"{folder.name or folder} is not a folder; give the folder that `anomech {command}` "
            "wrote."
        )
    record = read_record(folder / name, cls)
    found = getattr(record, SCHEMA)
    known = cls.model_fields[SCHEMA].default
    if found != known:
        raise RunError(
            f"{name} is of format {found}, but this version of anomech reads format {known}; run "
            f"`anomech {command}` again with this version."
        )
    return record


def read_rows(path: Path, cls: type[AnyRecord]) -> list[AnyRecord]:
    """Read JSON lines of records."""
    return list(iterate_rows(path, cls))


def iterate_rows(path: Path, cls: type[AnyRecord]) -> Iterator[AnyRecord]:
    """Read JSON lines of records one by one; one line is in memory at a time."""
    try:
        with regular_file(path, follow=False) as binary:
            lines = io.TextIOWrapper(binary, encoding="utf-8", newline="\n")  # ids may hold others
            while line := lines.readline(MAX_LINE):
                if line != "\n":
                    yield _parse(path, cls, line)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def read_findings(path: Path) -> list[Finding]:
    """Read a list of findings."""
    try:
        rows = pydantic.TypeAdapter(list[Finding]).validate_json(_read(path))
    except pydantic.ValidationError:
        raise RunError(f"{path.name} is not a list of findings; run the audit again.") from None
    return rows


def _read(path: Path, most: int = MAX_RECORD) -> str:
    try:
        return read_regular(path, most, follow=False).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> RunError:
    there = f" ({error.strerror})" if isinstance(error, OSError) and path.is_symlink() else ""
    return RunError(
        f"{path.parent.name or '.'} has no readable {path.name}{there}; is it a run folder?"
    )


def _parse(path: Path, cls: type[AnyRecord], text: str) -> AnyRecord:
    try:
        return cls.model_validate_json(text)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "all of it"
        raise RunError(
            f"{path.name} does not have the form of this version ({place}: {first['msg']}); "
            "run the audit again with this version of anomech."
        ) from None
