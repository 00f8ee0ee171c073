"""Splitting examples into parts, and finding what two sets share."""

from collections.abc import Sequence

import numpy as np

from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator


def stratified(
    labels: np.ndarray, shares: Sequence[float], seed: int, purpose: str
) -> list[np.ndarray]:
    """Split examples into parts so that every part has its share of every class.

    Parts are disjoint and hold every example. What a class cannot share out evenly is carried
    over to the next one, so the parts as a whole have their shares too.

    Args:
        labels: class of each example, integers `[n]`.
        shares: share of each part, positive, sum 1.
        seed: of the run.
        purpose: address of the randomness; another purpose gives an independent split.

    Returns:
        Sorted indices int64 of each part, in the order of `shares`.

    Raises:
        DataError: labels that are no integers `[n]`, or shares that do not sum to 1.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"A split needs one integer label an example, not {labels.dtype} {list(labels.shape)}; "
            "give class numbers from 0."
        )
    wanted = np.asarray(shares, dtype=np.float64)
    if wanted.ndim != 1 or not (wanted > 0).all() or not np.isclose(wanted.sum(), 1, atol=1e-6):
        raise DataError(f"Shares must be positive and sum to 1, not {list(shares)}; change them.")
    order = np.concatenate(
        [np.empty(0, np.int64)]
        + [
            numpy_generator(seed, purpose, int(label)).permutation(np.flatnonzero(labels == label))
            for label in np.unique(labels)
        ]
    )
    counts = np.zeros(len(wanted))
    part = np.empty(len(order), np.int64)
    for position in range(len(order)):
        chosen = int(np.argmax(wanted * (position + 1) - counts))  # the part most behind its share
        part[position] = chosen
        counts[chosen] += 1
    return [np.sort(order[part == number]) for number in range(len(wanted))]


def overlap(first: Sequence[str], second: Sequence[str]) -> np.ndarray:
    """Indices into `first`, int64 and in order, of the digests that `second` has too.

    `second` is held in memory, so it should be the smaller one; `first` is gone through once.
    """
    there = set(second)
    return np.fromiter((i for i, digest in enumerate(first) if digest in there), np.int64)
