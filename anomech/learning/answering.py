"""Which examples a model answers as labeled."""

import numpy as np
import torch

from anomech.kernel.types import Examples, Overlay
from anomech.roles.task import Task


@torch.no_grad()
def right(task: Task, examples: Examples, labels: np.ndarray, overlay: Overlay) -> np.ndarray:
    """Whether an overlay answers each example as labeled, bool `[examples]`."""
    found = np.zeros(len(examples), bool)
    for places in task.passes(examples):
        answers = task.respond(overlay, examples.load(places)).answers
        found[places] = task.agrees(answers, labels[places]).cpu().numpy()
    return found
