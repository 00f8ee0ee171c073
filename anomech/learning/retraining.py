"""Training anew on the examples that are believed clean: what removes poison before it is learned.

Screens say which examples are suspected; whoever believes them leaves these out. One function
serves all who do, so that a screen is judged by the same training wherever it is used.
"""

import copy

import numpy as np
from torch import nn

from anomech.data.subset import Subset
from anomech.kernel.errors import DataError
from anomech.kernel.types import Examples, Progress
from anomech.learning.session import run_session
from anomech.learning.training import Recipe
from anomech.roles.tracer import Health
from anomech.roles.trainer import Keeper, Trained

LEAST = 0.2
"""Share of a label's examples below which a person is told that training lost most of it."""


def retrained(
    network: nn.Module,
    examples: Examples,
    clean: np.ndarray,
    *,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    keep: Keeper | None = None,
) -> Trained:
    """Train a copy of a network anew on some of its examples; the given one is not changed.

    Args:
        network: maps float images `[batch, c, h, w]` in [0, 1] to logits; its weights are drawn
            anew in the copy.
        examples: images with labels.
        clean: those to learn, bool `[examples]`.
        recipe: schedule.
        seed: of the weights, the order and the augmentation.
        progress: told the stage "training" after every step.
        keep: where each epoch is kept, if it may be killed.

    Raises:
        DataError: no labels, a mask that does not fit, or examples of one label left.
        ModelError: the loss is no longer finite.
    """
    labels = examples.labels
    if labels is None:
        raise DataError("training needs examples with labels; give some.")
    if clean.shape != (len(examples),) or clean.dtype != np.bool_:
        raise DataError("give one truth value for each example: whether it is to be learned.")
    places = np.flatnonzero(clean)
    if len(np.unique(labels[places])) < 2:
        raise DataError(
            f"{len(places)} of {len(examples)} examples are left, of less than two labels; "
            "suspect fewer of them."
        )
    chosen = Subset(examples, places)
    twin = copy.deepcopy(network)
    ended = run_session(
        twin,
        chosen.load(np.arange(len(chosen))),
        labels[places],
        recipe,
        seed=seed,
        keep=keep,
        progress=lambda done, total: progress("training", done, total),
    )
    return Trained(ended.weights, {"loss": ended.losses}, _health(labels, clean))


def _health(labels: np.ndarray, clean: np.ndarray) -> Health:
    """What a person should know about what was left out."""
    kept = {int(label): float(clean[labels == label].mean()) for label in np.unique(labels)}
    poor = [label for label, share in kept.items() if share < LEAST]
    problems = tuple(
        f"{1 - kept[label]:.0%} of the examples of label {label} were left out; the network may "
        "hardly know it." for label in poor[:3]
    )  # fmt: skip
    return Health(problems, {"left out": float((~clean).mean())})
