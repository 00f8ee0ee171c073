"""Texts to classify, alone or in pairs, with the classes that they should have."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from anomech.data.compact import DIGEST
from anomech.data.labels import NUMBER
from anomech.data.remarks import Counted, FileRemark
from anomech.data.text_ids import checked_names
from anomech.data.text_rows import read_rows
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError, shown
from anomech.kernel.types import Preview


@options
class TextColumns:
    """Names of columns."""

    text: str = option("text", "the text")
    pair: str = option("pair", "a second text that goes with it, if there is one")
    label: str = option("label", "its class: a number, or a name that the model knows")
    id: str = option("id", "a unique name, if there is one")


AS_USUAL = TextColumns()


@dataclass(frozen=True)
class Text:
    """One text.

    Attributes:
        text: what is classified.
        pair: what goes with it, such as an answer to a question.
        tokens: stand for all of it, where there is no text for them.
    """

    text: str
    pair: str | None = None
    tokens: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Texts:
    """Texts in order.

    Attributes:
        items: what is classified.
        ids: unique names `[n]`.
        labels: class numbers int64 `[n]`, or names of classes `[n, 1]`; None if not known.
        remarks: what was noticed when they were read.
    """

    items: tuple[Text, ...]
    ids: Sequence[str]
    labels: np.ndarray | None = None
    remarks: tuple[FileRemark, ...] = ()

    def __len__(self) -> int:
        return len(self.items)

    def load(self, indices: np.ndarray) -> tuple[Text, ...]:
        """These texts."""
        return tuple(self.items[index] for index in np.asarray(indices, np.int64).tolist())

    def digests(self) -> Sequence[str]:
        """BLAKE2b of each text, in order."""
        return self._digests

    @cached_property
    def _digests(self) -> tuple[str, ...]:
        return tuple(map(_digest, self.items))

    def preview(self, index: int) -> Preview:
        """The text."""
        item = self.items[index]
        both = item.text if item.pair is None else f"{item.text}\n{item.pair}"
        return Preview("text", both.encode("utf-8", "replace"))


def read_texts(path: str | Path, columns: TextColumns = AS_USUAL) -> Texts:
    """Texts of a file: lines of JSON, CSV, TSV, Parquet, or a saved Hugging Face data set.

    Args:
        path: of the file.
        columns: their names.

    Raises:
        DataError: a row that cannot be read, rows without a class beside others with one, or no
            row with a text.
    """
    path = Path(path)
    counted, items, ids, labels = Counted(rows=True), list[Text](), list[str](), list[str]()
    for place, row in read_rows(path):
        where = f"{place} of {path.name}"
        if columns.text not in row:
            raise DataError(
                f"{where} has no '{columns.text}' (it has {shown(', '.join(map(str, row)))}); name "
                "the column with --set task.columns.text=NAME."
            )
        text, pair = row[columns.text], row.get(columns.pair)
        if not isinstance(text, str | None) or not isinstance(pair, str | None):
            raise DataError(f"'{columns.text}' in {where} is no text; write it as text.")
        if not (text or "").strip():
            counted.add("without a text", where)
            continue
        items.append(Text(text or "", pair))
        ids.append("" if row.get(columns.id) is None else str(row[columns.id]))
        labels.append("" if row.get(columns.label) is None else str(row[columns.label]).strip())
    if not items:
        raise DataError(f"{path.name} holds no text; give rows with a column '{columns.text}'.")
    known = _labels(labels, path)
    return Texts(tuple(items), checked_names(ids, path.name), known, counted.remarks())


def _labels(given: list[str], path: Path) -> np.ndarray | None:
    if not any(given):
        return None
    if not all(given):
        raise DataError(
            f"{path.name} gives {sum(map(bool, given))} of {len(given)} rows a label; give all "
            "rows one, or none."
        )
    if all(NUMBER.fullmatch(each) for each in given):
        numbers = np.array([int(each) for each in given], np.int64)
        if numbers.min() < 0:
            raise DataError(f"{path.name} has the label {numbers.min()}; give numbers from 0.")
        return numbers
    names = np.empty((len(given), 1), object)
    names[:, 0] = given
    return names


def _digest(item: Text) -> str:
    content: list[Any] = [item.text, item.pair, list(item.tokens)]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=DIGEST).hexdigest()
