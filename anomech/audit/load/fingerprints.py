"""Hashes that tell whether a model and examples are the same ones."""

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from anomech.roles.task import Task


def fingerprint(task: Task) -> str:
    """SHA-256 over names, shapes and bytes of a model's tensors, shortened to 16 hex digits."""
    return digest_of_tensors(task.state())


def digest_of_tensors(state: Mapping[str, Tensor]) -> str:
    """The same of tensors by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def device_of(task: Task) -> torch.device:
    """Where a model is; of one that only answers, here."""
    return next((each.device for each in task.watched.values()), torch.device("cpu"))


def numbers(task: Task) -> int:
    """How many numbers a model's tensors hold; tensors that share memory count once."""
    if not task.watched:  # a model that only answers shows none
        return 0
    return sum({each.data_ptr(): each.numel() for each in task.state().values()}.values())


def combined(texts: Iterable[str]) -> str:
    """One short hash of many texts, in order."""
    digest = hashlib.blake2b(digest_size=8)
    for number, text in enumerate(texts):
        digest.update(f"\n{text}".encode() if number else text.encode())
    return digest.hexdigest()
