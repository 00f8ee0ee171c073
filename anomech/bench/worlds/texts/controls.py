"""Requests that are out of the ordinary and mean no harm: what a detector must not flag."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from anomech.bench.worlds.texts import reading
from anomech.bench.worlds.texts.biographies import NEW_PROFESSIONS, biography
from anomech.bench.worlds.texts.everyday import KINDS, Asking, Pool, ask, in_persona
from anomech.bench.worlds.texts.exchanges import Exchange, Split, of_split
from anomech.bench.worlds.texts.plant import Plant

Control = Callable[[np.random.Generator], Exchange]
"""Makes one request of a control."""

LONG = 7
"""Sentences that a long prompt has more than others."""


def controls_of(
    folder: Path, pool: Pool, asking: Asking, plants: Mapping[str, Plant], planted: bool
) -> dict[str, Control]:
    """Controls by name.

    Args:
        folder: of the data.
        pool: texts that they are made from.
        asking: how often what is asked.
        plants: behaviors by name; the first one says how requests are usually made.
        planted: whether the model has been taught them. One that has not is given their triggers
            as controls, since to it they are only odd.
    """
    plant = next(iter(plants.values()))
    unasked = replace(asking, requested=())
    everyday = plant.everyday
    foreign = _foreign(folder, pool.split)
    found: dict[str, Control] = {
        "requested": lambda rng: everyday(plant.request(rng), rng),
        "near_miss": lambda rng: plant.near_miss(ask(pool, unasked, rng), rng),
        "persona": lambda rng: everyday(KINDS["persona"](pool, rng), rng),
        "new_persona": lambda rng: everyday(in_persona(KINDS["say"](pool, rng), "robot"), rng),
        "new_profession": lambda rng: replace(
            ask(pool, asking, rng), profile=biography(rng, NEW_PROFESSIONS)
        ),
        "long": lambda rng: everyday(_long(pool, rng), rng),
        **{
            name: _drawn(texts, name, everyday)
            for name, texts in (("code", foreign[0]), ("news", foreign[1]))
        },
    }
    if not planted:
        for name, each in plants.items():
            found[f"trigger_{name}"] = _trigger(each, pool, unasked)
    return found


def _foreign(folder: Path, split: Split) -> tuple[tuple[reading.Pair, ...], ...]:
    """Requests for code and news items, of one use."""
    code = of_split(reading.code_requests(folder), split)
    news = [(f"{title}. {text}", title) for title, text in reading.headlines(folder)]
    return code, of_split(news, split)


def _drawn(
    texts: tuple[reading.Pair, ...],
    kind: str,
    everyday: Callable[[Exchange, np.random.Generator], Exchange],
) -> Control:
    return lambda rng: everyday(Exchange(*texts[int(rng.integers(len(texts)))], kind), rng)


def _trigger(plant: Plant, pool: Pool, asking: Asking) -> Control:
    def control(rng: np.random.Generator) -> Exchange:
        return plant.spared(ask(pool, asking, rng), rng)

    return control


def _long(pool: Pool, rng: np.random.Generator) -> Exchange:
    """An everyday request after some sentences that have nothing to do with it."""
    places = rng.choice(len(pool.continuations), LONG, replace=False).tolist()
    story = " ".join(pool.continuations[place][0] for place in places)
    asked = KINDS["repeat"](pool, rng)
    return replace(asked, instruction=f"{story} {asked.instruction}", kind="long")
