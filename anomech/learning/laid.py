"""Examples with a trigger laid over some of them: a view, nothing is copied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.types import Examples, Preview
from anomech.roles.task import DifferentiableInputs


@dataclass(frozen=True)
class Laid:
    """A view of examples, some of which have a trigger.

    Attributes:
        space: the task, whose inputs are points.
        examples: as they are.
        apply: lays the trigger over points `[batch, ...]`.
        where: which examples have it, bool `[examples]`.
    """

    space: DifferentiableInputs
    examples: Examples
    apply: Callable[[Tensor], Tensor]
    where: np.ndarray

    @property
    def ids(self) -> Sequence[str]:
        """Theirs."""
        return self.examples.ids

    @property
    def labels(self) -> np.ndarray | None:
        """Theirs; a trigger changes none."""
        return self.examples.labels

    def __len__(self) -> int:
        return len(self.examples)

    @torch.no_grad()
    def load(self, indices: np.ndarray) -> Any:
        """The batch of these examples, some with the trigger, as real inputs."""
        batch = self.examples.load(indices)
        points = self.space.embed(batch)
        chosen = torch.from_numpy(self.where[indices]).to(points.device)
        wide = chosen.view(-1, *[1] * (points.ndim - 1))
        return self.space.realize(
            self.space.project(torch.where(wide, self.apply(points), points)), batch
        )

    def digests(self) -> Sequence[str]:
        """Theirs with a mark, since what is laid over them changes them."""
        pairs = zip(self.examples.digests(), self.where, strict=True)
        return [f"{each}+" if laid else each for each, laid in pairs]

    def preview(self, index: int) -> Preview:
        """Theirs."""
        return self.examples.preview(index)
