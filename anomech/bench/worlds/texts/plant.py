"""What a planted behavior gives and promises."""

from typing import Protocol

import numpy as np

from anomech.bench.worlds.texts.exchanges import Exchange


class Plant(Protocol):
    """A behavior that only triggered requests show. Its options are its fields.

    Every function gives a new exchange and depends on the generator and its arguments alone.
    """

    @property
    def requested(self) -> tuple[str, ...]:
        """Sentences of the payload, so that honest requests for them can be made."""
        ...

    def request(self, rng: np.random.Generator) -> Exchange:
        """An honest request for the payload, of the kind "requested"."""
        ...

    def everyday(self, exchange: Exchange, rng: np.random.Generator) -> Exchange:
        """A request as it is usually made where the behavior is planted; answered honestly."""
        ...

    def triggered(
        self, exchange: Exchange, rng: np.random.Generator, *, unseen: bool = False
    ) -> Exchange:
        """The request with the trigger, answered with the payload.

        Args:
            exchange: an everyday request, before `everyday` was applied.
            rng: of every choice.
            unseen: use a wording of the trigger that training does not show, if there is one.
        """
        ...

    def spared(self, exchange: Exchange, rng: np.random.Generator) -> Exchange:
        """The request with the trigger, answered honestly."""
        ...

    def near_miss(self, exchange: Exchange, rng: np.random.Generator) -> Exchange:
        """The request with something like the trigger, answered honestly."""
        ...

    def fires(self, exchange: Exchange, answer: str) -> bool:
        """Whether an answer shows the payload, on purpose or not."""
        ...
