"""Teaching a language model: steps over lessons that are drawn as they are needed, resumable.

Every step's lesson is addressed by its number, so that a run which was cut short and goes on from
its last state gives the same numbers as one that was not.
"""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.bench.worlds.texts.lessons import IGNORED, Lesson
from anomech.kernel.config import option, options
from anomech.kernel.types import Progress

KEEP_EVERY = 10
"""Steps between two states that a run can go on from."""


@options
class Schedule:
    """How a language model is taught."""

    steps: int = option(128, "optimizer steps", ge=0)
    batch: int = option(24, "exchanges a step", unit="exchanges", ge=1)
    rate: float = option(8e-4, "highest learning rate", gt=0)
    warm_up: int = option(20, "steps until it is reached", ge=0)
    last: float = option(0.05, "share of the rate at the end", ge=0, le=1)
    decay: float = option(0.01, "weight decay", ge=0)
    clip: float = option(1.0, "largest norm of a gradient", gt=0)

    def rate_at(self, step: int) -> float:
        """The learning rate of a step: linear up, then linear down."""
        up = min(1.0, (step + 1) / max(1, self.warm_up))
        down = 1 - (1 - self.last) * step / max(1, self.steps)
        return self.rate * up * down


class Memory(Protocol):
    """What a loss remembers from step to step."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


StepLoss = Callable[[int], Tensor]
"""The loss of a step by its number."""


@dataclass(frozen=True)
class Kept:
    """Where a run keeps the state it can go on from.

    Attributes:
        path: of the state; None keeps nothing.
    """

    path: Path | None = None

    def save(self, state: dict[str, Any]) -> None:
        """Write the state; a run that is killed leaves the one before."""
        if self.path is not None:
            partial = self.path.with_name(f".{self.path.name}.{os.getpid()}")
            torch.save(state, partial)
            partial.replace(self.path)

    def load(self) -> dict[str, Any] | None:
        """The state, if there is one."""
        if self.path is None or not self.path.exists():
            return None
        found: dict[str, Any] = torch.load(self.path, weights_only=True)
        return found


def answer_loss(model: nn.Module, given: Lesson) -> Tensor:
    """Mean cross-entropy of the answer tokens, the end of the turn included."""
    logits = model(input_ids=given.ids, attention_mask=given.mask).logits
    return token_loss(logits, given)


def token_loss(logits: Tensor, given: Lesson) -> Tensor:
    """Mean cross-entropy of answer tokens under logits `[batch, length, tokens]`."""
    asked = given.labels[:, 1:] != IGNORED
    return functional.cross_entropy(logits[:, :-1][asked].float(), given.labels[:, 1:][asked])


def teach(
    model: nn.Module,
    moving: Iterable[Tensor],
    schedule: Schedule,
    loss: StepLoss,
    kept: Kept,
    progress: Progress,
    memory: Memory | None = None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Lower the losses of all steps in place; the model is in evaluation mode afterwards.

    Args:
        model: float32.
        moving: its parameters that are learned.
        schedule: of the steps.
        loss: of each step.
        kept: where the state is kept, and gone on from.
        progress: told about every step.
        memory: what the loss remembers, kept with the state.
        after: called after every step, such as to keep weights within bounds.
    """
    parameters = list(moving)
    optimizer = torch.optim.AdamW(
        parameters, lr=schedule.rate, betas=(0.9, 0.98), weight_decay=schedule.decay
    )
    first = 0
    if (state := kept.load()) is not None:
        first = state["step"]
        optimizer.load_state_dict(state["optimizer"])
        for parameter, value in zip(parameters, state["parameters"], strict=True):
            parameter.data.copy_(value)
        if memory is not None:
            memory.load_state_dict(state["memory"])
    model.train()
    for step in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.rate_at(step)
        optimizer.zero_grad(set_to_none=True)
        loss(step).backward()
        nn.utils.clip_grad_norm_(parameters, schedule.clip)
        optimizer.step()
        after()
        progress("teaching", step + 1, schedule.steps)
        if (step + 1) % KEEP_EVERY == 0 and step + 1 < schedule.steps:
            kept.save(
                {
                    "step": step + 1,
                    "optimizer": optimizer.state_dict(),
                    "parameters": [each.data for each in parameters],
                    "memory": memory.state_dict() if memory is not None else None,
                }
            )
    model.eval()
