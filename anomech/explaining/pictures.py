"""Pictures of what explainers point at, laid over the inputs that they are about."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anomech.audit.write.pictures import keep
from anomech.roles.task import Depicting, Pictures, Task, able

DIM = 0.25
"""What is left of the brightness where a map is zero."""


def laid_over(task: Task, batch: Any, maps: Tensor, out: Path) -> tuple[str, ...]:
    """Write one picture an input, bright where its map is high; paths inside the folder.

    Args:
        task: of pictures that can be depicted.
        batch: inputs as the task loads them.
        maps: `[inputs, h, w]`; each is divided by its own maximum.
        out: the folder.
    """
    points = able(task, Pictures).embed(batch).float().cpu()
    size = points.shape[2:]
    heat = maps.detach().float().cpu().clamp_min(0)[:, None]
    if heat.shape[2:] != size:
        heat = functional.interpolate(heat, size, mode="bilinear")
    heat = heat / heat.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
    color = torch.tensor([1.0, 0.35, 0.1])[None, :, None, None]
    gray = points if points.shape[1] == 3 else points.mean(dim=1, keepdim=True).expand(-1, 3, *size)
    shown = gray * (DIM + (1 - DIM) * heat)
    shown = (shown + 0.55 * heat * (1 - gray) * color).clamp(0, 1)
    depict = able(task, Depicting).depict
    return tuple(keep(out, depict(each)) for each in shown)
