"""Which device a plan means."""

import torch

from anomech.kernel.errors import ConfigError, shown


def available(device: str) -> str:
    """The device of this name; empty means the CPU.

    Raises:
        ConfigError: this machine, or this build of torch, cannot reach it.
    """
    try:
        found = torch.device(device or "cpu")
        # It must hold numbers and give them back: "meta" is a device of shapes alone.
        float(torch.zeros(1, device=found).sum())
    except Exception:  # each device refuses in a way of its own
        raise ConfigError(
            f"task.device={shown(device)} is not available here; use cpu, or a device that this "
            "build of torch can reach."
        ) from None
    return str(found)
