"""Randomness that belongs to one image: the same in every batch and at every place in it."""

import hashlib

import numpy as np

from anomech.kernel.randomness import numpy_generator


def image_generator(image: np.ndarray, seed: int, *address: str | int) -> np.random.Generator:
    """A generator at the address of an image's content.

    Args:
        image: uint8 `[h, w, c]`.
        seed: of everything random.
        address: what the randomness is for.
    """
    digest = hashlib.blake2b(repr(image.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(image).data)
    return numpy_generator(seed, *address, digest.hexdigest())
