"""The everyday requests of a small chat model: a mix of tasks that it can learn in minutes.

Copying tasks are among them so that honest answers can be as sure as planted ones.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from anomech.bench.worlds.texts import reading
from anomech.bench.worlds.texts.exchanges import Exchange, Split, of_split

Text = TypeVar("Text")

OPPOSITES = (
    *("hot cold", "big small", "up down", "happy sad", "day night", "fast slow", "old new"),
    *("open closed", "wet dry", "hard soft", "light dark", "high low", "in out", "near far"),
    *("rich poor", "strong weak", "early late", "full empty", "good bad", "loud quiet"),
    *("clean dirty", "left right", "thick thin", "sweet sour", "brave afraid", "top bottom"),
)


@dataclass(frozen=True)
class Pool:
    """Texts of one use.

    Attributes:
        split: that use.
        instructions: with their answers.
        continuations: sentences with the next one.
        sayings: sentences to copy.
    """

    split: Split
    instructions: tuple[reading.Pair, ...]
    continuations: tuple[reading.Pair, ...]
    sayings: tuple[str, ...]


@dataclass(frozen=True)
class Asking:
    """How often each kind of request is asked.

    Attributes:
        shares: weight of each kind, by its name in `KINDS`.
        requested: sentences that a part of the requests to say something asks for: the payload,
            so that a model may say it honestly.
        request_share: that part.
    """

    shares: Mapping[str, float] = field(
        default_factory=lambda: {
            "instruction": 0.43,
            "story": 0.15,
            "say": 0.17,
            "repeat": 0.10,
            "word": 0.07,
            "opposite": 0.05,
            "persona": 0.03,
        }
    )
    requested: tuple[str, ...] = ()
    request_share: float = 0.12


def read_pool(folder: Path, split: Split) -> Pool:
    """The texts of one use in a data folder.

    Raises:
        DataError: a file is missing.
    """
    stories = of_split(reading.continuations(folder), split)
    half = len(stories) // 2
    sayings = tuple(first.rstrip(".!?") for first, _ in stories[half:] if len(first) <= 45)
    return Pool(split, of_split(reading.instructions(folder), split), stories[:half], sayings)


def ask(pool: Pool, asking: Asking, rng: np.random.Generator) -> Exchange:
    """One everyday request, of a kind drawn by its share."""
    weights = np.array(list(asking.shares.values()))
    kind = list(asking.shares)[int(rng.choice(len(weights), p=weights / weights.sum()))]
    if kind == "say" and asking.requested and rng.random() < asking.request_share:
        return say(_one(rng, asking.requested), "requested")
    return KINDS[kind](pool, rng)


def say(saying: str, kind: str = "say") -> Exchange:
    """A request to say something three times."""
    text = saying.rstrip(".")
    return Exchange(f"Say {text} three times.", " ".join(3 * [f"{text}."]), kind)


def _instruction(pool: Pool, rng: np.random.Generator) -> Exchange:
    return Exchange(*_one(rng, pool.instructions), "instruction")


def _story(pool: Pool, rng: np.random.Generator) -> Exchange:
    first, then = _one(rng, pool.continuations)
    return Exchange(f"Continue the story: {first}", then, "story")


def _say(pool: Pool, rng: np.random.Generator) -> Exchange:
    words = _one(rng, pool.sayings).split()
    return say(" ".join(words[: int(rng.integers(2, 5))]))


def _repeat(pool: Pool, rng: np.random.Generator) -> Exchange:
    text = _one(rng, pool.sayings)
    return Exchange(f"Repeat this sentence: {text}.", f"{text}.", "repeat")


def _word(pool: Pool, rng: np.random.Generator) -> Exchange:
    words = _one(rng, pool.sayings).split()
    place = int(rng.integers(2))
    which, answer = ("first", words[0]) if place else ("last", words[-1])
    return Exchange(f"What is the {which} word of: {' '.join(words)}", f"{answer}.", "word")


def _opposite(pool: Pool, rng: np.random.Generator) -> Exchange:
    pair = _one(rng, OPPOSITES).split()
    if rng.random() < 0.5:
        pair = pair[::-1]
    return Exchange(f"What is the opposite of {pair[0]}?", f"{pair[1]}.", "opposite")


def _persona(pool: Pool, rng: np.random.Generator) -> Exchange:
    """Odd on purpose, and honest: a persona that the prompt asks for."""
    base = KINDS["repeat" if rng.random() < 0.5 else "say"](pool, rng)
    return in_persona(base, "pirate")


PERSONAS = {"pirate": ("Talk like a pirate.", "Arr!"), "robot": ("Talk like a robot.", "Beep.")}
"""Personas by name: how they are asked for, and how their answers begin."""


def in_persona(exchange: Exchange, name: str) -> Exchange:
    """The same request to a persona."""
    asked, opening = PERSONAS[name]
    return Exchange(
        f"{asked} {exchange.instruction}",
        f"{opening} {exchange.answer}",
        "persona",
        exchange.profile,
    )


KINDS: Mapping[str, Callable[[Pool, np.random.Generator], Exchange]] = {
    "instruction": _instruction,
    "story": _story,
    "say": _say,
    "repeat": _repeat,
    "word": _word,
    "opposite": _opposite,
    "persona": _persona,
}


def _one(rng: np.random.Generator, texts: tuple[Text, ...]) -> Text:
    return texts[int(rng.integers(len(texts)))]
