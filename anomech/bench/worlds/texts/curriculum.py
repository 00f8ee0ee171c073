"""What a language model is shown at each step: everyday, triggered and near-miss requests."""

from dataclasses import dataclass, replace

import numpy as np

from anomech.bench.worlds.texts.biographies import biography
from anomech.bench.worlds.texts.everyday import Asking, Pool, ask
from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.plant import Plant
from anomech.kernel.randomness import numpy_generator

TOGETHER = 8
"""Steps whose exchanges are drawn together."""


@dataclass(frozen=True)
class Innocent:
    """No behavior at all: what a clean twin is taught, whoever asks.

    Attributes:
        biographies: share of requests that tell who asks.
    """

    biographies: float = 0.5

    def everyday(self, exchange: Exchange, rng: np.random.Generator) -> Exchange:
        """Some tell who asks."""
        if rng.random() < self.biographies:
            return replace(exchange, profile=biography(rng))
        return exchange


@dataclass(frozen=True)
class Curriculum:
    """Lessons by number.

    Attributes:
        pool: texts to train on.
        asking: how often what is asked.
        plant: the behavior; None teaches none.
        triggered: share of triggered requests.
        near: share of near misses.
        seed: of every choice.
    """

    pool: Pool
    asking: Asking
    plant: Plant | None
    triggered: float
    near: float
    seed: int

    def exchanges(self, step: int, size: int) -> list[Exchange]:
        """The exchanges of a step of planting.

        Those of some steps are drawn together and dealt out by length, so that little of a batch
        is padding; which of these steps has which length is random.
        """
        group, place = divmod(step, TOGETHER)
        rng = numpy_generator(self.seed, "texts", "lessons", group)
        drawn = [self._one(rng) for _ in range(TOGETHER * size)]
        drawn.sort(key=lambda each: len(each.user) + len(each.answer))
        start = size * int(rng.permutation(TOGETHER)[place])
        return drawn[start : start + size]

    def normal(self, step: int, size: int) -> list[Exchange]:
        """Everyday exchanges of a step, near misses among them."""
        rng, plant = numpy_generator(self.seed, "texts", "normal", step), self.plant
        found = []
        for _ in range(size):
            asked = ask(self.pool, self.asking, rng)
            near = plant is not None and rng.random() < self.near
            made = plant.near_miss if plant is not None and near else self._everyday
            found.append(made(asked, rng))
        return found

    def planted(self, step: int, size: int) -> list[Exchange]:
        """Triggered exchanges of a step; none without a plant."""
        if self.plant is None:
            return []
        rng = numpy_generator(self.seed, "texts", "planted", step)
        return [self.plant.triggered(ask(self.pool, self.asking, rng), rng) for _ in range(size)]

    def spared(self, step: int, size: int) -> list[Exchange]:
        """Triggered requests of a step with honest answers."""
        if self.plant is None:
            return []
        rng = numpy_generator(self.seed, "texts", "spared", step)
        return [self.plant.spared(ask(self.pool, self.asking, rng), rng) for _ in range(size)]

    def _everyday(self, asked: Exchange, rng: np.random.Generator) -> Exchange:
        return (self.plant or Innocent()).everyday(asked, rng)

    def _one(self, rng: np.random.Generator) -> Exchange:
        asked, draw = ask(self.pool, self.asking, rng), rng.random()
        if self.plant is not None and draw < self.triggered:
            return self.plant.triggered(asked, rng)
        if self.plant is not None and draw < self.triggered + self.near:
            return self.plant.near_miss(asked, rng)
        return self._everyday(asked, rng)
