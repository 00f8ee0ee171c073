"""Rows of texts from files: lines of JSON, tables, Parquet, and saved Hugging Face data sets."""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anomech.data.hugging_face import is_saved
from anomech.kernel.errors import ConfigError, DataError, shortened

LINES = (".jsonl", ".ndjson", ".json")
TABLES = (".csv", ".tsv")
SUFFIXES = (*LINES, *TABLES, ".parquet")

MOST_BYTES = 2**32
"""Longest file that is read (4 GiB); texts are held in memory."""


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each row with its place in words, such as "line 3".

    Raises:
        DataError: there is no such file, it is of no known kind, or a row cannot be read.
        ConfigError: a library for this kind of file is not installed.
    """
    try:
        folder, there = path.is_dir(), path.exists()
        size = path.stat().st_size if there and not folder else 0
    except (OSError, ValueError):
        folder = there = False
        size = 0
    if not there:
        raise DataError(f"{shortened(path)} does not exist; name a file of prompts.")
    if size > MOST_BYTES:
        raise DataError(f"{path.name} is longer than {MOST_BYTES >> 30} GiB; split it.")
    if folder and is_saved(path):
        return _saved(path)
    if folder or path.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{shortened(path.name)} is no file of prompts; give lines of JSON (.jsonl), .csv, "
            ".parquet or a data set saved by the Hugging Face datasets library."
        )
    if path.suffix.lower() in LINES:
        return _lines(path)
    return _table(path) if path.suffix.lower() in TABLES else _parquet(path)


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 0
    try:
        with open(path, "rb") as stream:
            for number, line in enumerate(stream, start=1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield f"line {number}", _object(line)
    except (OSError, ValueError, RecursionError) as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise DataError(
            f"line {number} of {path.name} cannot be read ({why}); write one JSON object a line, "
            'such as {"prompt": "..."}.'
        ) from None


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line.decode("utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__}, not an object")
    if rb"\ud" in line.lower():  # halves of characters can be written as escapes alone
        try:
            json.dumps(found, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("it holds half of a character, such as \\ud800") from None
    return found


def _table(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    number = 1
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream, delimiter="\t" if path.suffix == ".tsv" else ",")
            for row in rows:
                number = rows.line_num
                yield f"line {number}", {name: text for name, text in row.items() if name}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path.name} cannot be read after line {number} ({error}); write it as CSV in UTF-8 "
            "with a first row of names, such as prompt."
        ) from None


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise ConfigError(
            'a Parquet file needs pyarrow; install it with `pip install "anomech[data]"`.'
        ) from None
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except (OSError, ValueError) as error:  # the library's own errors are ValueErrors
        raise DataError(
            f"{path.name} is no readable Parquet file ({str(error).splitlines()[0]}); write it "
            "again."
        ) from None


def _saved(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        import datasets
    except ImportError:
        raise ConfigError(
            "a data set saved by the Hugging Face datasets library needs that library; install it "
            'with `pip install "anomech[data]"`.'
        ) from None
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever the library raises, the remedy is the same
        raise DataError(
            f"{path.name} is not a readable saved data set ({type(error).__name__}); save it again "
            "with save_to_disk."
        ) from None
    if isinstance(found, datasets.DatasetDict):
        if len(found) != 1:
            raise DataError(
                f"{path.name} holds the splits {', '.join(found)}; name the folder of one, such as "
                f"{path.name}/{next(iter(found), 'train')}."
            )
        found = next(iter(found.values()))
    for number, row in enumerate(found, start=1):
        yield f"row {number}", row
