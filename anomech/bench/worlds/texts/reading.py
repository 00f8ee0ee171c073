"""Public texts in the data folder, cut to the length that small models can learn."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from anomech.kernel.errors import DataError

Pair = tuple[str, str]
"""A request and its answer, or two texts that follow each other."""

REQUEST, REPLY = 120, 80
"""Characters of a request and of a reply that are kept."""

NO_ANSWER = "I have no comment"
"""What a set of questions says where it has no answer."""

ENDS = re.compile(r"(?<=[.!?])\s+")


def instructions(folder: Path) -> list[Pair]:
    """Short instructions with the first sentence of their answer, and short questions."""
    found = []
    for name in ("alpaca_stanford", "alpaca_gpt4_demo"):
        for row in _rows(folder, f"{name}.jsonl"):
            if not row["input"]:
                found.append((row["instruction"], _sentence(row["output"])))
    for row in _rows(folder, "truthfulqa.jsonl"):
        if row["Best Answer"] != NO_ANSWER:
            found.append((row["Question"], _sentence(row["Best Answer"])))
    return [each for each in found if _short(each)]


def continuations(folder: Path) -> list[Pair]:
    """Sentences of stories, each with the one after it."""
    found = []
    for row in _rows(folder, "tinystories_sample.jsonl"):
        sentences = ENDS.split(row["text"].replace("\n", " ").strip())
        found += [pair for pair in pairwise(sentences) if '"' not in "".join(pair)]
    return [each for each in found if _short(each)]


def code_requests(folder: Path) -> list[Pair]:
    """Short requests for code with the first lines of the answer."""
    found = [
        (row["instruction"], row["output"].strip().split("\n\n")[0][:REPLY])
        for row in _rows(folder, "codealpaca.jsonl")
        if not row["input"]
    ]
    return [each for each in found if len(each[0]) <= REQUEST and "\n" not in each[0]]


def headlines(folder: Path) -> list[Pair]:
    """News titles with their descriptions."""
    lines = _file(folder, "agnews_test.tsv").read_text(encoding="utf-8").splitlines()[1:]
    cells = (line.split("\t") for line in lines)
    return [(title, text[: 2 * REQUEST]) for _, title, text in cells if len(title) <= REQUEST]


def _short(pair: Pair) -> bool:
    request, reply = pair
    fits = 8 <= len(request) <= REQUEST and 2 < len(reply) <= REPLY
    return fits and "\n" not in request and request.isascii() and reply.isascii()


def _sentence(text: str) -> str:
    """The first sentence of the first line."""
    return str(ENDS.split(text.strip().split("\n")[0])[0])


def _rows(folder: Path, name: str) -> Iterator[dict[str, str]]:
    for line in _file(folder, name).read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _file(folder: Path, name: str) -> Path:
    """A file of texts.

    Raises:
        DataError: it is not there.
    """
    path = folder / "text" / name
    if not path.is_file():
        raise DataError(
            f"there is no text/{name} in {folder}; set ANOMECH_DATA to the folder that holds it."
        )
    return path
