"""What tells whether a model is the same one."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of all tensors, shortened to 16 hex digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def numbers(state: Mapping[str, Tensor]) -> int:
    """How many numbers all tensors hold; tensors that share memory count once."""
    return sum({each.data_ptr(): each.numel() for each in state.values()}.values())
