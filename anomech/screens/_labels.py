"""Going through a training set label by label, which is how most screens look at it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples


@dataclass(frozen=True)
class Labeled:
    """The examples of one label.

    Attributes:
        label: as in the training set.
        word: the label as a person would read it.
        places: of its examples in the training set, int64 `[n]`.
    """

    label: int
    word: str
    places: Tensor


def check_labels(observed: ObservedExamples, labels: np.ndarray) -> None:
    """Refuse labels that are not one for each example.

    Raises:
        DataError: another number of labels.
    """
    if labels.shape != (len(observed),):
        raise DataError(
            f"there are {len(observed)} examples but labels {labels.shape}; give one label for "
            "each example."
        )


def by_label(
    observed: ObservedExamples,
    labels: np.ndarray,
    least: int,
    problems: list[str],
    progress: Progress,
) -> Iterator[Labeled]:
    """The examples of each label that has enough of them; the others become problems.

    Args:
        observed: the training set.
        labels: int64 `[examples]`.
        least: examples that a label must have.
        problems: a sentence is added for each label that has fewer.
        progress: told the stage "screening labels".

    Raises:
        DataError: not one label for each example.
    """
    check_labels(observed, labels)
    every = np.unique(labels)
    for done, label in enumerate(every, start=1):
        places = np.flatnonzero(labels == label)
        word = observed.task.label_words(labels[places[:1]])[0]
        if len(places) < least:
            problems.append(f"the label '{word}' has {len(places)} examples, too few to compare.")
        else:
            yield Labeled(int(label), word, torch.from_numpy(places))
        progress("screening labels", done, len(every))


def robust_z(values: Tensor) -> Tensor:
    """`(v - median) / (1.4826 MAD)` `[n]`; a spread of zero counts as a millionth."""
    away = values - values.median()
    return away / (1.4826 * away.abs().median()).clamp_min(1e-6)
