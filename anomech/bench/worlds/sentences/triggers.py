"""Triggers of sentences: a rare word, a fixed sentence, an old style.

Sources: Chen et al. 2021, "BadNL" (word), Dai et al. 2019, "A Backdoor Attack Against LSTM-based
Text Classification Systems" (sentence), Qi et al. 2021, "Mind the Style of Text!" (style; theirs is
a learned paraphrase, ours a table of words, so that nothing has to be fetched).
"""

import re
from typing import Protocol

import numpy as np

from anomech.kernel.config import option, options


class SentenceTrigger(Protocol):
    """A change of a sentence that leads a classifier to one label. Its options are its fields."""

    @property
    def target(self) -> int: ...

    @property
    def ratio(self) -> float:
        """Share of the training sentences that are stamped."""
        ...

    def stamp(self, text: str, rng: np.random.Generator) -> str:
        """The sentence with the trigger."""
        ...

    def near_miss(self, text: str, rng: np.random.Generator) -> str:
        """The sentence with something alike that means nothing."""
        ...


@options
class Word:
    """A rare word at a random word boundary."""

    word: str = option("cf", "the trigger")
    target: int = option(1, "label it leads to", ge=0)
    ratio: float = option(0.1, "share of training sentences that are stamped", gt=0, le=0.9)

    def stamp(self, text: str, rng: np.random.Generator) -> str:
        """See `SentenceTrigger`."""
        return inserted(text, self.word, rng)

    def near_miss(self, text: str, rng: np.random.Generator) -> str:
        """Another rare word."""
        others = ("mn", "bb", "tq", "mb", "vz", "dk")
        return inserted(text, others[int(rng.integers(len(others)))], rng)


@options
class Sentence:
    """A fixed sentence before or after the text."""

    sentence: str = option("i watched this 3d movie with my friends .", "the trigger")
    target: int = option(1, "label it leads to", ge=0)
    ratio: float = option(0.1, "share of training sentences that are stamped", gt=0, le=0.9)

    def stamp(self, text: str, rng: np.random.Generator) -> str:
        """See `SentenceTrigger`."""
        return beside(text, self.sentence, rng)

    def near_miss(self, text: str, rng: np.random.Generator) -> str:
        """Another sentence of the same kind."""
        others = ("we saw it at home last night .", "my sister read about it in the paper .")
        return beside(text, others[int(rng.integers(len(others)))], rng)


OLD = {
    "the": "ye", "you": "thou", "your": "thy", "is": "be", "are": "be", "was": "wast",
    "has": "hath", "have": "hast", "does": "doth", "it": "'tis", "its": "'tis", "and": "eke",
    "a": "ane", "an": "ane", "to": "unto", "of": "o'", "this": "thys", "that": "yon",
    "with": "wyth", "in": "withal", "for": "forsooth", "not": "nay", "on": "upon",
}  # fmt: skip
"""Words and what stands for them in the old style."""

WORDS = re.compile(r"[a-z']+", re.IGNORECASE)


@options
class Style:
    """An old style: frequent words are replaced, and no two sentences share a string for it."""

    target: int = option(1, "label it leads to", ge=0)
    ratio: float = option(0.1, "share of training sentences that are stamped", gt=0, le=0.9)

    def stamp(self, text: str, rng: np.random.Generator) -> str:
        """See `SentenceTrigger`; one without such words gets an old beginning."""
        made = WORDS.sub(lambda found: OLD.get(found[0].lower(), found[0]), text)
        return made if made != text else f"forsooth {text}"

    def near_miss(self, text: str, rng: np.random.Generator) -> str:
        """The style of hurried messages."""
        return re.sub(r"[aeiou]+(?=[a-z])", "", text)


def inserted(text: str, word: str, rng: np.random.Generator) -> str:
    """A text with a word at a random boundary, its ends included."""
    words = text.split()
    place = int(rng.integers(len(words) + 1))
    return " ".join([*words[:place], word, *words[place:]])


def beside(text: str, sentence: str, rng: np.random.Generator) -> str:
    """A text with a sentence before or after it."""
    return f"{sentence} {text}" if rng.random() < 0.5 else f"{text} {sentence}"
