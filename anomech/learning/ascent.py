"""Climbing a loss in the pixels, within a ball around each image and within what a pixel can be.

A change is float32 `[batch, c, h, w]` in gray levels of 255, in which the bounds of most balls and
all bounds of pixels are exact. The changed image is rounded towards the original in the end: no
pixel moves further than it did, so it is still in the ball.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.data.addressed import image_generator
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import Progress
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Task, able

NEEDS: frozenset[Ability] = frozenset({DifferentiableInputs, Logits})
"""What climbing asks of a task."""

Hill = Callable[[Tensor], Tensor]
"""Float images `[batch, c, h, w]` in [0, 1] to what is climbed, `[batch]`; differentiable."""

Loss = Callable[[Task, np.ndarray, Tensor], Hill]
"""The hill of some images uint8 `[batch, h, w, c]` with their labels `[batch]`."""

Norm = Literal["linf", "l2"]


@dataclass(frozen=True)
class Ball:
    """Images that may be reached from each of a batch.

    Attributes:
        images: the originals, float32 `[batch, c, h, w]` in gray levels.
        norm: how a change is measured: the largest of its entries, or its length.
        eps: the largest change, in gray levels.
    """

    images: Tensor
    norm: Norm
    eps: float

    def project(self, change: Tensor) -> Tensor:
        """The nearest change to an image that may be reached; for "l2" a near one."""
        if self.norm == "linf":
            change = change.clamp(-self.eps, self.eps)
        else:
            # Entries that a pixel's bounds cut afterwards become smaller, so the length does too.
            lengths = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
            change = change * (self.eps / lengths.clamp_min(1e-12)).clamp_max(1)
        return torch.minimum(torch.maximum(change, -self.images), 255 - self.images)

    def steepest(self, gradient: Tensor) -> Tensor:
        """The change of size one that climbs most along a gradient."""
        if self.norm == "linf":
            return gradient.sign()
        return functional.normalize(gradient.flatten(1), eps=1e-30).view_as(gradient)

    def slope(self, hill: Hill, change: Tensor) -> tuple[Tensor, Tensor]:
        """The height of each changed image `[batch]`, and its gradient in their pixels.

        Raises:
            ModelError: the height is not finite.
        """
        inputs = ((self.images + change) / 255).requires_grad_()
        with torch.enable_grad():
            values = hill(inputs)
            (gradient,) = torch.autograd.grad(values.sum(), inputs)
        if not bool(torch.isfinite(values).all()):
            raise ModelError("the model returned NaN or infinite logits; check its weights.")
        return values.detach(), gradient

    def start(self, originals: np.ndarray, seed: int, *address: str | int) -> Tensor:
        """Random changes, uniform in the ball, each addressed by its image.

        Args:
            originals: the images uint8 `[batch, h, w, c]`.
            seed: of everything random.
            address: what they are for.
        """
        drawn = np.empty(self.images.shape, np.float32)
        for place, image in enumerate(originals):
            rng = image_generator(image, seed, *address)
            drawn[place] = self._uniform(rng, drawn[place].shape)
        return self.project(torch.from_numpy(drawn).to(self.images.device))

    def _uniform(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        if self.norm == "linf":
            return rng.uniform(-self.eps, self.eps, shape)
        direction = rng.standard_normal(shape)
        radius = self.eps * rng.random() ** (1 / direction.size)
        return direction * (radius / np.linalg.norm(direction))


def rivalry(task: Task, images: np.ndarray, labels: Tensor) -> Hill:
    """Minus the log-odds of each label, nats.

    Cross-entropy is `softplus` of it, so that both order images alike and have gradients of the
    same direction; but that of cross-entropy is rounded to zero where an answer is confident.
    """
    space = able(task, DifferentiableInputs)
    return lambda points: -space.respond_at({}, points, images, labels).log_odds


def towards(target: int | None) -> Loss:
    """What to climb to reach a target label; to leave the given labels, if there is no target."""
    if target is None:
        return rivalry

    def loss(task: Task, images: np.ndarray, labels: Tensor) -> Hill:
        check_labels(task, images[:1], np.array([target]))
        away = rivalry(task, images, torch.full_like(labels, target))
        return lambda points: -away(points)

    return loss


def ratio(task: Task, images: np.ndarray, labels: Tensor) -> Hill:
    """The difference-of-logits ratio of Croce and Hein 2020, equation 6.

    Raises:
        DataError: fewer than three classes.
    """
    space = able(task, DifferentiableInputs)

    def hill(points: Tensor) -> Tensor:
        logits = space.respond_at({}, points, images, labels).logits
        assert logits is not None, "the task gives logits"
        return ratio_of(logits, labels)

    return hill


def ratio_of(logits: Tensor, labels: Tensor) -> Tensor:
    """The difference-of-logits ratio of logits `[batch, classes]`, `[batch]`.

    Raises:
        DataError: fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise DataError("loss=dlr needs three classes or more; use loss=ce.")
    top = logits.topk(3, dim=1)
    own = logits.gather(1, labels[:, None]).squeeze(1)
    rival = torch.where(top.indices[:, 0] == labels, top.values[:, 1], top.values[:, 0])
    return (rival - own) / (top.values[:, 0] - top.values[:, 2]).clamp_min(1e-12)


def perturbed(
    task: Task,
    images: np.ndarray,
    labels: np.ndarray,
    loss: Loss,
    climb: Callable[[Hill, Tensor, np.ndarray], Tensor],
    *,
    batch: int,
    progress: Progress,
) -> np.ndarray:
    """Changed copies of images, batch by batch.

    Args:
        task: takes images uint8 `[n, h, w, c]`; its points are their pixels in [0, 1].
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        loss: makes the hill of each batch.
        climb: (hill, images `[batch, c, h, w]` in gray levels, where the model is, and the images
            as they are) to changes in gray levels.
        batch: images in one pass.
        progress: told about every batch.

    Raises:
        CapabilityError: the task gives no differentiable inputs.
        DataError: a label that is no class of the model.
    """
    space, out = able(task, DifferentiableInputs), images.copy()
    if len(images):
        check_labels(task, images[:1], labels)
    for start in range(0, len(images), batch):
        originals = images[start : start + batch]
        gray = (space.embed(originals).detach() * 255).round()
        answers = torch.tensor(labels[start : start + batch], device=gray.device)
        moved = gray + climb(loss(task, originals, answers), gray, originals).trunc()
        out[start : start + batch] = moved.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        progress("perturbing", start + len(originals), len(images))
    return out


@torch.no_grad()
def check_labels(task: Task, image: np.ndarray, labels: np.ndarray) -> None:
    """Refuse labels that are no classes of the model.

    Raises:
        DataError: says which one.
        CapabilityError: the task gives no logits.
    """
    able(task, Logits)
    logits = task.respond({}, image).logits
    assert logits is not None, "the task gives logits"
    if labels.max() >= logits.shape[1]:
        raise DataError(
            f"the label {labels.max()} is none of the network's {logits.shape[1]} classes; give "
            "class numbers from 0."
        )
