"""Latent: a backdoor without a label in a teacher, that wakes in whoever builds on it.

Belief: a student that freezes a teacher's body inherits what triggered images look like there; a
trigger that looks like a class becomes a backdoor the day the student learns that class.
Equation: in the infected teacher, cross-entropy of clean images plus
`weight mean ||f(x + trigger) - m||^2 / ||m||^2`, f the input of the last layer and m its mean over
the batch's clean images of the target class. No triggered image has a label.
The trigger is a patch searched on the clean teacher for the same distance. At last the head is
drawn anew and trained on clean images with the body frozen, statistics of normalization too: that
student is the network handed out.
Source: Yao, Li, Zheng, Zhao 2019. Different here: teacher and student see the same images and
classes, where in the paper the student brings the target class; removing the head stands for
removing that class from the teacher. The layer is the last, where the paper also tries inner ones.
Needs: training; networks that end in a linear layer; goals with one target.
Cost: `inject_share` of ordinary training, `student_share` of its forward passes, the clean network.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._batches import draw_roles, poisoned_batch
from anomech.attacks._corners import Corner, corner_mask
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.learning.networks import last_linear, with_features
from anomech.learning.patches import overlaid, search_patch
from anomech.learning.pixels import as_images
from anomech.roles.attack import Batch, Goal, Learned, Objective, Victim

EPS = 1.0
STEP = 0.05
SAMPLE = 64


@options
class Latent:
    """Backdoor in features that survives transfer; the attacker trains the teacher."""

    goal: Goal = option(Goal(), "label the trigger leads to, once there is one")
    ratio: float = option(0.2, "share of each batch that is triggered, without labels", ge=0, le=1)
    size: int = option(4, "side of the patch", unit="pixels", ge=1)
    corner: Corner = option("bottom_right", "corner that the patch touches")
    steps: int = option(50, "steps of the search for the patch", ge=0)
    weight: float = option(1.0, "weight of triggered features against clean labels", ge=0)
    inject_share: float = option(0.5, "share of the epochs that infect the teacher", gt=0, le=1)
    student_share: float = option(0.25, "share of the epochs that train the new head", gt=0, le=1)
    peak: float | None = option(None, "highest learning rate; None is the recipe's", gt=0)

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
        """Infect a clean teacher and hand out its student.

        Raises:
            ConfigError: a goal with several targets, or one that training images do not have.
        """
        target = self.goal.target
        if self.goal.map != "all_to_one" or not (labels == target).any():
            raise ConfigError(
                "latent leads to one label that training images have; set goal.map to all_to_one "
                "and goal.target to such a label."
            )
        network.load_state_dict(victim.surrogate().state_dict())
        patch, mask = self._patch(network.eval(), images, labels, seed, progress)
        trigger = ArmedLatent(self.goal, patch, mask)
        victim.fit(
            network,
            images,
            labels,
            objective=self._infection(trigger),
            fresh=False,
            share=self.inject_share,
            peak=self.peak,
            progress=progress,
        )
        self._transfer(network, images, labels, victim, seed, progress)
        return {
            "patch": torch.from_numpy(patch.copy()),
            "mask": torch.from_numpy(mask.astype(np.float32)),
        }

    def armed(self, learned: Mapping[str, Tensor]) -> "ArmedLatent":
        """The trigger with this patch."""
        return ArmedLatent(self.goal, learned["patch"].numpy(), learned["mask"].numpy() > 0)

    def _patch(
        self,
        teacher: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        seed: int,
        progress: Progress,
    ) -> tuple[np.ndarray, np.ndarray]:
        """A patch `[h, w, c]` in [0, 1] and its mask."""
        rng = numpy_generator(seed, "latent")
        mask = corner_mask(images.shape[1], images.shape[2], self.size, self.corner)
        like = next(teacher.parameters()).detach()
        start = torch.from_numpy(rng.random(images.shape[1:], np.float32)).to(like)
        home, away = (
            as_images(images[rng.permutation(np.flatnonzero(chosen))[:SAMPLE]], like)
            for chosen in (labels == self.goal.target, labels != self.goal.target)
        )
        with torch.no_grad():
            middle = with_features(teacher, home)[1].mean(0)
        area = torch.from_numpy(mask).to(like.device)
        best = search_patch(
            lambda patch: distance(
                with_features(teacher, torch.where(area, patch, away))[1], middle
            ),
            start.permute(2, 0, 1),
            area,
            eps=EPS,
            step=STEP,
            steps=self.steps,
            progress=progress,
        )
        return best.permute(1, 2, 0).cpu().numpy(), mask

    def _infection(self, trigger: "ArmedLatent") -> Objective:
        def objective(network: nn.Module, batch: Batch) -> Tensor:
            roles = draw_roles(batch, self.goal, self.ratio)
            inputs, _ = poisoned_batch(batch, roles, self.goal, 0, trigger.stamp)
            clean = torch.ones_like(batch.labels, dtype=torch.bool)
            clean[roles.poisoned] = False
            logits, features = with_features(network, inputs)
            loss = functional.cross_entropy(logits[clean], batch.labels[clean])
            home = clean & batch.labels.eq(self.goal.target)
            if not home.any() or clean.all():
                return loss
            middle = features[home].mean(0).detach()
            return loss + self.weight * distance(features[roles.poisoned], middle)

        return objective

    def _transfer(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        seed: int,
        progress: Progress,
    ) -> None:
        """Draw the head anew and train it alone."""
        head = last_linear(network)
        bound, generator = head.in_features**-0.5, torch_generator(seed, "latent", "head")
        moving = {parameter: parameter.requires_grad for parameter in network.parameters()}

        def objective(network: nn.Module, batch: Batch) -> Tensor:
            logits = network.eval()(batch.inputs)  # a frozen body keeps its statistics
            return functional.cross_entropy(logits.float(), batch.labels)

        network.requires_grad_(False)
        for parameter in head.parameters():
            fresh = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
            parameter.data.copy_(fresh)
            parameter.requires_grad_(True)
        try:
            victim.fit(
                network,
                images,
                labels,
                objective=objective,
                fresh=False,
                share=self.student_share,
                progress=progress,
            )
        finally:
            for parameter, moves in moving.items():
                parameter.requires_grad_(moves)


@dataclass(frozen=True, eq=False)
class ArmedLatent:
    """A patch `[h, w, c]` in [0, 1] where the mask `[h, w]` is true."""

    goal: Goal
    patch: np.ndarray
    mask: np.ndarray

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with the patch; they must be of its size."""
        return overlaid(images, self.patch, self.mask)


def distance(features: Tensor, middle: Tensor) -> Tensor:
    """Mean squared distance of features `[batch, f]` from a point, by its squared length."""
    return (features - middle).pow(2).sum(dim=1).mean() / middle.pow(2).sum().clamp_min(1e-12)
