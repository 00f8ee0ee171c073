"""A training that can be killed: by a recipe, with every epoch kept, and an average of its weights.

Steps are those of `anomech.learning.training.train`, with the same numbers. Randomness is addressed
by epoch, so that an epoch that begins from what was kept is the one that would have been run.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.randomness import numpy_generator
from anomech.learning.training import (
    Recipe,
    _batch,
    _optimizer,
    _schedule,
    cross_entropy,
    initialize,
)
from anomech.roles.attack import Batch, Objective
from anomech.roles.trainer import Keeper, Kept

NETWORK, AVERAGE, STEPPER = "network.", "average.", "optimizer."
"""Prefixes of kept tensors."""


@options
class Averaging:
    """A running average of the weights, which the training ends with."""

    decay: float = option(0.0, "share of the average that a step keeps; 0 takes none", ge=0, le=1)
    warm_up: float = option(0.025, "share of all steps before it begins", ge=0, le=1)


NO_AVERAGE = Averaging()


@dataclass(frozen=True, eq=False)
class Ended:
    """What a session came to.

    Attributes:
        weights: of the network, or their average if one was taken.
        losses: mean of the objective in each epoch.
    """

    weights: dict[str, Tensor]
    losses: list[float]


@dataclass(eq=False)
class _Session:
    """The moving parts of a training."""

    network: nn.Module
    recipe: Recipe
    averaging: Averaging
    steps: int
    losses: list[float]
    step: int = 0
    average: dict[str, Tensor] | None = None

    def __post_init__(self) -> None:
        self.optimizer = _optimizer(self.network, self.recipe)
        self.schedule = _schedule(self.optimizer, self.recipe, self.steps)

    def epoch(
        self, batches: Iterable[Batch], objective: Objective, progress: Callable[[int, int], None]
    ) -> float:
        """A step a batch; the sum of the objective over them.

        Raises:
            ModelError: the objective is no longer finite.
        """
        total = torch.zeros(())
        for batch in batches:
            kind = batch.inputs.device.type
            with torch.autocast(kind, torch.bfloat16, enabled=self.recipe.bfloat16):
                loss = objective(self.network, batch)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.schedule.step()
            self.step += 1
            self.after_step()
            total = total.to(loss.device) + loss.detach()
            progress(self.step, self.steps)
        if not torch.isfinite(loss.detach()):
            raise ModelError(
                f"training diverged in epoch {len(self.losses) + 1}; lower the recipe's peak "
                "learning rate."
            )
        return float(total)

    def after_step(self) -> None:
        """Move the average of all parameters towards the network."""
        if not self.averaging.decay:
            return
        taken = self.step - round(self.averaging.warm_up * self.steps)
        decay = min(self.averaging.decay, (1 + taken) / (10 + taken)) if taken > 0 else 0.0
        now = {name: each.detach() for name, each in self.network.named_parameters()}
        if self.average is None or decay == 0:
            self.average = {name: each.clone() for name, each in now.items()}
            return
        for name, each in now.items():
            self.average[name].lerp_(each, 1 - decay)

    def weights(self) -> dict[str, Tensor]:
        """Weights to end with; buffers of an average are those of the network."""
        own = {name: each.detach().clone() for name, each in self.network.state_dict().items()}
        return own if self.average is None else {**own, **self.average}

    def kept(self) -> Kept:
        """All that the next epoch needs."""
        found = {f"{NETWORK}{name}": t for name, t in self.network.state_dict().items()}
        found |= {f"{AVERAGE}{name}": each for name, each in (self.average or {}).items()}
        state = self.optimizer.state_dict()
        found |= {
            f"{STEPPER}{place}.{name}": torch.as_tensor(value)
            for place, values in state["state"].items()
            for name, value in values.items()
        }
        facts = {
            "step": self.step,
            "losses": self.losses,
            "groups": state["param_groups"],
            "schedule": {n: v for n, v in self.schedule.state_dict().items() if _plain(v)},
        }
        tensors = {name: each.detach().cpu().clone() for name, each in found.items()}
        return Kept(tensors, facts)

    def resume(self, kept: Kept) -> None:
        """Go on from what was kept."""
        device = next(self.network.parameters()).device
        moved = {name: each.to(device) for name, each in kept.tensors.items()}
        self.network.load_state_dict(_under(moved, NETWORK))
        self.average = _under(moved, AVERAGE) or None
        state: dict[int, dict[str, Tensor]] = {}
        for path, tensor in _under(moved, STEPPER).items():
            place, name = path.split(".", 1)
            state.setdefault(int(place), {})[name] = tensor
        groups = kept.facts["groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.schedule.load_state_dict(dict(kept.facts["schedule"]))
        self.step, self.losses = kept.facts["step"], list(kept.facts["losses"])


def run_session(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    seed: int,
    objective: Objective = cross_entropy,
    averaging: Averaging = NO_AVERAGE,
    fresh: bool = True,
    keep: Keeper | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Ended:
    """Train `network` in place, where it is, and leave it in evaluation mode.

    Args:
        network: maps float images `[batch, c, h, w]` in [0, 1] to logits.
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        recipe: the schedule.
        seed: of the weights, the order and the augmentation.
        objective: of one step; it runs under the recipe's precision.
        averaging: of the weights.
        fresh: draw the weights anew first.
        keep: where every epoch is kept.
        progress: called with (steps done, steps in all).

    Raises:
        ModelError: the objective is no longer finite.
    """
    if fresh:
        initialize(network, seed)
    device = next(network.parameters()).device
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = min(recipe.batch, len(labels))
    session = _Session(network, recipe, averaging, recipe.epochs * (len(labels) // size), [])
    if keep is not None and (before := keep.read()) is not None:
        session.resume(before)
    for epoch in range(len(session.losses), recipe.epochs):
        rng = numpy_generator(seed, "order", epoch)
        order = rng.permutation(len(labels))[: len(labels) // size * size].reshape(-1, size)
        batches = (_batch(images, labels, chosen, recipe.augment, rng, device) for chosen in order)
        session.losses.append(session.epoch(batches, objective, progress) / len(order))
        if keep is not None:
            keep.write(session.kept())
    network.eval()
    return Ended(session.weights(), session.losses)


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): each for n, each in tensors.items() if n.startswith(prefix)}


def _plain(value: Any) -> bool:
    """Whether JSON can hold a value and give it back exactly."""
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False
