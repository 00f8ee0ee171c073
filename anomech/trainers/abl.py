"""ABL: what is learned too early is isolated, and then unlearned.

Belief: a trigger is learned faster than anything honest; held at a level of the loss, a network
keeps honest examples there and lets poison fall below it.
Equation: first `sign(L - gamma) L`, or `|L - gamma| + gamma` (flooding), for a share of the epochs;
the examples of the lowest loss are isolated; then ordinary training on the rest; then
descent of `L` on the rest and of `-log(1 - p)` on the isolated labels, until these are no likelier
than a guess.
Source: Li, Lyu, Koren, Lyu, Li, Ma 2021 (ABL), where the last stage is ascent of `L` on isolated
examples alone: that has no slope where the network is sure, and takes the task with it.
Needs: images with labels.
Cost: `3 (1 + isolation + unlearning) epochs` forward passes for each example.
Fails when: poison is no easier than honest examples (all-to-all, warps, a trigger for each input),
or easy honest examples are isolated in its place: these are then unlearned.
"""

import copy
import math
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress
from anomech.learning.pixels import as_float
from anomech.learning.session import run_session
from anomech.learning.training import Recipe, cross_entropy
from anomech.roles.attack import Batch, Objective
from anomech.roles.trainer import Keeper, Trained
from anomech.trainers._family import checked

FEWEST = 2
"""Examples that are isolated in any case."""


@options
class Abl:
    """Isolate the easiest examples, train on the rest, unlearn the isolated ones."""

    held: Literal["ascent", "flooding"] = option("ascent", "how losses are held at the level")
    level: float = option(0.5, "gamma", unit="nats", gt=0)
    isolation: float = option(0.2, "share of the recipe's epochs before isolating", gt=0, le=1)
    share: float = option(0.01, "of all examples that are isolated", gt=0, le=0.5)
    unlearning: float = option(0.2, "share of the recipe's epochs of the last stage", gt=0, le=1)
    gentler: float = option(0.1, "of the recipe's learning rate, in the last stage", gt=0, le=1)

    @property
    def exposed(self) -> bool:
        """It has no use for outliers."""
        return False

    def train(
        self,
        network: nn.Module,
        examples: Examples,
        outliers: Examples | None,
        *,
        recipe: Recipe,
        seed: int,
        progress: Progress,
        keep: Keeper | None = None,
    ) -> Trained:
        """See `anomech.roles.trainer.Trainer`; images are uint8 `[n, h, w, c]`.

        Raises:
            DataError: examples without labels, none, of one class.
            ConfigError: outliers, which it has no use for.
            ModelError: the loss is no longer finite.
        """
        material = checked(examples, outliers, exposed=False)
        images, labels = material.images, material.labels
        twin = copy.deepcopy(network)

        def stage(
            name: str, part: np.ndarray, plan: Recipe, objective: Objective, *, fresh: bool
        ) -> list[float]:
            """One stage, which goes on with the network of the one before."""
            return run_session(
                twin,
                images[part],
                labels[part],
                plan,
                seed=seed,
                objective=objective,
                fresh=fresh,
                keep=keep if name == "training" else keep and keep.part(name),
                progress=lambda done, total: progress(name, done, total),
            ).losses

        early = replace(recipe, epochs=max(1, round(self.isolation * recipe.epochs)))
        everyone = np.arange(len(labels))
        stage("isolating", everyone, early, held_at(self.level, self.held), fresh=True)
        easy = lowest(losses(twin, images, labels), self.share)
        losses_of_training = stage(
            "training", np.setdiff1d(everyone, easy), recipe, cross_entropy, fresh=False
        )
        last = replace(
            recipe,
            epochs=max(1, round(self.unlearning * recipe.epochs)),
            peak=self.gentler * recipe.peak,
        )
        forget = forgetting(images[easy], labels[easy])
        stage("unlearning", np.setdiff1d(everyone, easy), last, forget, fresh=False)
        weights = {name: each.detach().clone() for name, each in twin.state_dict().items()}
        return Trained(weights, {"loss": losses_of_training}, material.health)


def held_at(level: float, how: Literal["ascent", "flooding"]) -> Objective:
    """An objective that lets a loss sink to a level and not below."""

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        loss = functional.cross_entropy(network(batch.inputs).float(), batch.labels)
        if how == "flooding":
            return (loss - level).abs() + level
        return torch.sign(loss.detach() - level) * loss

    return objective


def forgetting(images: np.ndarray, labels: np.ndarray) -> Objective:
    """The loss of others, and `-log(1 - p)` of isolated labels that are likelier than a guess.

    Args:
        images: isolated ones, uint8 `[n, h, w, c]`; each step draws as many as it has others.
        labels: theirs, int64 `[n]`.
    """

    def objective(network: nn.Module, batch: Batch) -> Tensor:
        count = len(batch.labels)
        some = batch.rng.permutation(len(labels))[:count]
        inputs = torch.cat([batch.inputs, as_float(images[some]).to(batch.inputs.device)])
        logits = network(inputs).float()
        given = torch.from_numpy(labels[some]).to(logits.device)[:, None]
        own = logits[count:].gather(1, given)[:, 0]
        odds = own - logits[count:].scatter(1, given, -torch.inf).logsumexp(dim=1)
        likely = odds.detach() > -math.log(max(logits.shape[1] - 1, 1))
        gone = (functional.softplus(odds) * likely).mean()
        return functional.cross_entropy(logits[:count], batch.labels) + gone

    return objective


@torch.no_grad()
def losses(network: nn.Module, images: np.ndarray, labels: np.ndarray, size: int = 256) -> Tensor:
    """Loss of each label in evaluation mode, `[n]`, nats."""
    network.eval()
    device = next(network.parameters()).device
    found = [
        functional.cross_entropy(
            network(as_float(images[start : start + size]).to(device)).float(),
            torch.from_numpy(labels[start : start + size]).to(device),
            reduction="none",
        ).cpu()
        for start in range(0, len(labels), size)
    ]
    return torch.cat(found)


def lowest(losses: Tensor, share: float) -> np.ndarray:
    """Places of the share with the lowest losses, in order."""
    count = max(FEWEST, round(share * len(losses)))
    return np.sort(losses.argsort(stable=True)[:count].numpy())
