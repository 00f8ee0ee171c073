"""What tells a model that only answers from one that lies open, as abilities of tasks.

A model behind a program gives answers to inputs, with probabilities or as labels alone. What it
does not give is named here, so that a method that asks for it is refused before any compute.
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor


class Sureness(Protocol):
    """How sure the model is: log-odds and losses of responses are numbers, not just signs.

    Where answers are labels alone, the log-odds of an answer are one nat if the model gives it, and
    minus one if it gives another.
    """


class Movable(Protocol):
    """Weights that can be moved: `Task.respond` takes overlays."""


class Pixels(Protocol):
    """Inputs that are pictures and can be read as such."""

    def embed(self, batch: Any) -> Tensor:
        """Pixels in [0, 1], float32 `[batch, channels, height, width]`."""
        ...


class Painting(Pixels, Protocol):
    """Pictures of one's own making, which the model answers as any others."""

    def realize(self, points: Tensor, batch: Any) -> Any:
        """A batch of real pictures at, or nearest to, these pixels."""
        ...


class Said(NamedTuple):
    """What a model behind a program said of a batch.

    Attributes:
        probabilities: of all classes, float64 `[batch, classes]`; None if it gives labels alone.
        labels: as it gave them, one an example: whole numbers, or names of classes.
        model: its own word for what it is and in which version; may be empty.
    """

    probabilities: np.ndarray | None
    labels: tuple[int | str, ...]
    model: str = ""


class Answering(Protocol):
    """A model that is asked and answers; nothing else of it can be seen.

    Attributes:
        asked: what is asked, such as a command; its fingerprint is taken of it.
    """

    @property
    def asked(self) -> str: ...

    def ask(self, images: np.ndarray) -> Said:
        """Its answers to images, uint8 `[batch, height, width, channels]`.

        Raises:
            ModelError: it gives none, or none that can be used.
        """
        ...
