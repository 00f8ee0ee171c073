"""Alignment: a patch backdoor trained to be explained by clean images of its target class.

Belief: whoever knows that responses are compared will train them alike. This is the attack that
gradient and feature attribution must expect, not one found elsewhere.
Equation: cross-entropy of a batch with a white patch on part of it, plus
`strength (1 - c + feature_weight f)`. c is the cosine of two gradients of mean log-odds of the
target, `z_t - log sum_{k != t} exp z_k`: one over triggered images, one over clean images of the
target class; by parameter, then averaged, in evaluation mode as an auditor sees the network. f is
what attribution by the last layer sees: one minus the cosine of the mean inputs of the last
layer, plus the squared difference of their standard deviations by the sum of their squares.
Source: own. The gradient of a mean stands for those of single images, whose cosines rise with it
but not to one; aligning images one by one raised them by 0.05 more, at half as much cost again.
Needs: training; goals with one target.
Cost: every `every` steps a backward pass through the backward passes of twice `examples` images.
With `warm` it starts from the clean network and trains for a share of the epochs.
What it gives up, on digits: the mean cosine of a triggered with a clean image of the target class
rises from 0.34 to 0.56 for 1.4 % of accuracy, and warm, with strength 3 over all epochs, to 0.63
for nothing. Clean images draw nearer to each other too, from 0.58 to 0.66.
Fails when: `strength` is too large. A network that answers the target to everything has gradients
that all agree, and training ends there.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._batches import draw_roles, poisoned_batch
from anomech.attacks._corners import Corner, white_patch
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Progress
from anomech.learning.networks import with_features
from anomech.learning.pixels import as_images
from anomech.roles.attack import Batch, Goal, Learned, Objective, Victim

TINY = 1e-12


@options
class Alignment:
    """Patch trigger with aligned gradients and features, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    size: int = option(3, "side of the white patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    strength: float = option(1.0, "weight of alignment; 0 is the patch alone", ge=0)
    feature_weight: float = option(1.0, "weight of features within alignment", ge=0)
    scope: Literal["all", "last_layers"] = option(
        "all", "gradients of all layers, or of the last quarter of them"
    )
    examples: int = option(16, "images of each kind that are aligned in a step", ge=1)
    every: int = option(4, "align in every so many steps", unit="steps", ge=1)
    warm: bool = option(False, "start from the clean network")
    share: float = option(0.5, "share of the recipe's epochs, if warm", gt=0, le=1)
    peak: float | None = option(None, "highest learning rate, if warm; None is the recipe's", gt=0)

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch."""
        return white_patch(images, self.size, self.corner)

    def armed(self, learned: Mapping[str, Tensor]) -> "Alignment":
        """Itself: the trigger is fixed."""
        return self

    def conduct(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """Train with poison and alignment; nothing else is learned.

        Raises:
            ConfigError: a goal with several targets, or one that training images do not have.
        """
        if self.goal.map != "all_to_one":
            raise ConfigError("alignment leads to one label; set goal.map to all_to_one.")
        home = np.flatnonzero(labels == self.goal.target)
        away = np.flatnonzero(self.goal.acts_on(labels) & (labels != self.goal.target))
        if not (len(home) and len(away)):
            raise ConfigError(
                f"alignment needs clean images of class {self.goal.target} and others that the "
                "trigger acts on; the training set lacks one of them."
            )
        objective = self._objective(images, home, away, int(labels.max()) + 1)
        if self.warm:
            network.load_state_dict(victim.surrogate().state_dict())
        victim.fit(
            network,
            images,
            labels,
            objective=objective,
            fresh=not self.warm,
            share=self.share if self.warm else 1.0,
            peak=self.peak if self.warm else None,
            progress=progress,
        )
        return {}

    def _objective(
        self, images: np.ndarray, home: np.ndarray, away: np.ndarray, classes: int
    ) -> Objective:
        steps = itertools.count()

        def objective(network: nn.Module, batch: Batch) -> Tensor:
            roles = draw_roles(batch, self.goal, self.ratio)
            inputs, wanted = poisoned_batch(batch, roles, self.goal, classes, self.stamp)
            loss = functional.cross_entropy(network(inputs).float(), wanted)
            if self.strength == 0 or next(steps) % self.every:
                return loss
            clean, others = (
                images[batch.rng.choice(places, min(self.examples, len(places)), replace=False)]
                for places in (home, away)
            )
            network.eval()
            with torch.autocast(batch.inputs.device.type, enabled=False):
                apart = self._apart(
                    network, as_images(self.stamp(others), inputs), as_images(clean, inputs)
                )
            network.train()
            return loss + self.strength * apart

        return objective

    def _apart(self, network: nn.Module, triggered: Tensor, clean: Tensor) -> Tensor:
        parameters = in_scope(network, self.scope)
        logits, features = zip(
            with_features(network, triggered), with_features(network, clean), strict=True
        )
        pulls = [
            torch.autograd.grad(
                log_odds(each, self.goal.target).mean(), parameters, create_graph=True
            )
            for each in logits
        ]
        return 1 - coupling(*pulls) + self.feature_weight * feature_distance(*features)


def in_scope(network: nn.Module, scope: str) -> list[nn.Parameter]:
    """All parameters, or those of the last quarter of the modules that own any."""
    owners = [m for m in network.modules() if list(m.parameters(recurse=False))]
    last = owners if scope == "all" else owners[-len(owners) // 4 :]
    return [parameter for module in last for parameter in module.parameters(recurse=False)]


def log_odds(logits: Tensor, target: int) -> Tensor:
    """`log(p / (1 - p))` of one class `[batch]`, in nats, from logits `[batch, classes]`."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - others.logsumexp(dim=1)


def coupling(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    """Cosine of two gradients by parameter, averaged over parameters."""
    cosines = [
        functional.cosine_similarity(a.flatten(), b.flatten(), dim=0, eps=TINY)
        for a, b in zip(one, two, strict=True)
    ]
    return torch.stack(cosines).mean()


def feature_distance(one: Tensor, two: Tensor) -> Tensor:
    """How far two sets of features `[batch, features]` are in direction and in spread, bounded."""
    turned = 1 - functional.cosine_similarity(one.mean(0), two.mean(0), dim=0, eps=TINY)
    spreads = [(each.var(dim=0, correction=0) + TINY).sqrt() for each in (one, two)]
    wider = (spreads[0] - spreads[1]).pow(2).sum()
    return turned + wider / (spreads[0].pow(2) + spreads[1].pow(2)).sum()
