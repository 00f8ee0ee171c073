"""Which device a plan means."""

import torch

from anomech.kernel.errors import ConfigError


def available(device: str) -> str:
    """The device of this name; empty means the CPU.

    Raises:
        ConfigError: this machine, or this build of torch, cannot reach it.
    """
    try:
        found = torch.device(device or "cpu")
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError):
        raise ConfigError(
            f"task.device='{device}' is not available here; use cpu, or a device that this build "
            "of torch can reach."
        ) from None
    return str(found)
