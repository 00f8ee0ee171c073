"""Addressed randomness: a seed and an address give a generator; no global state is read or set.

>>> numpy_generator(0, "split").integers(10) == numpy_generator(0, "split").integers(10)
np.True_
"""

import hashlib

import numpy as np
import torch


def key(seed: int, *address: str | int) -> int:
    """A 63-bit integer that depends on every part of the address."""
    text = "/".join([str(int(seed)), *(str(part) for part in address)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1


def numpy_generator(seed: int, *address: str | int) -> np.random.Generator:
    """A numpy generator at this address."""
    return np.random.default_rng(key(seed, *address))


def torch_generator(seed: int, *address: str | int) -> torch.Generator:
    """A CPU torch generator at this address; draw on the CPU and move, so devices agree."""
    return torch.Generator().manual_seed(key(seed, *address))
