"""Labeled sentences of public sets in the data folder."""

from dataclasses import dataclass
from pathlib import Path

from anomech.bench.worlds.texts.exchanges import Split, split_of
from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError, DataError

LEAST_WORDS, MOST_CHARACTERS = 6, 160
"""Of a sentence that is kept."""

Sentence = tuple[str, int]
"""A text and its label."""


@dataclass(frozen=True)
class Corpus:
    """A labeled set.

    Attributes:
        files: names and places of the columns of label and text.
        names: of the labels.
    """

    files: tuple[tuple[str, int, int], ...]
    names: tuple[str, ...]


CORPORA = {
    "sst2": Corpus((("sst2_train.tsv", 0, 1), ("sst2_dev.tsv", 0, 1)), ("negative", "positive")),
    "agnews": Corpus(
        (("agnews_test.tsv", 0, 2), ("agnews_train_part.tsv", 0, 1)),
        ("World", "Sports", "Business", "Sci/Tech"),
    ),
}
"""Known sets by name."""


def corpus_of(name: str) -> Corpus:
    """A known set.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in CORPORA:
        raise ConfigError(f"no set of sentences is named '{name}': {nearest(name, list(CORPORA))}")
    return CORPORA[name]


def read_sentences(folder: Path, name: str) -> dict[Split, list[Sentence]]:
    """Sentences by their use; a repeated one has one use, by its hash.

    Raises:
        ConfigError: no set has that name.
        DataError: a file is missing.
    """
    found: dict[Split, dict[str, int]] = {}
    for file, label, text in corpus_of(name).files:
        path = folder / "text" / file
        if not path.is_file():
            raise DataError(
                f"there is no text/{file} in {folder}; set ANOMECH_DATA to the folder that has it."
            )
        for line in path.read_text(encoding="utf-8").splitlines()[1:]:
            cells = line.split("\t")
            words = cells[text].strip()
            if len(words.split()) >= LEAST_WORDS and len(words) <= MOST_CHARACTERS:
                found.setdefault(split_of(words), {}).setdefault(words, int(cells[label]))
    return {split: list(some.items()) for split, some in found.items()}
