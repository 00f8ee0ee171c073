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
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import Progress
from anomech.learning.addressed import image_generator

Network = Callable[[Tensor], Tensor]
"""Float images `[batch, c, h, w]` in [0, 1] to logits `[batch, classes]`."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits `[batch, classes]`, labels `[batch]`) to what is climbed, `[batch]`."""

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

    def slope(
        self, network: Network, change: Tensor, labels: Tensor, loss: Loss
    ) -> tuple[Tensor, Tensor]:
        """The loss of each changed image `[batch]`, and its gradient in their pixels.

        Raises:
            ModelError: the loss is not finite.
        """
        inputs = ((self.images + change) / 255).requires_grad_()
        with torch.enable_grad():
            values = loss(network(inputs).float(), labels)
            (gradient,) = torch.autograd.grad(values.sum(), inputs)
        if not bool(torch.isfinite(values).all()):
            raise ModelError("the network returned NaN or infinite logits; check its weights.")
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


def rivalry(logits: Tensor, labels: Tensor) -> Tensor:
    """Minus the log-odds of each label, nats `[batch]`.

    Cross-entropy is `softplus` of it, so that both order images alike and have gradients of the
    same direction; but that of cross-entropy is rounded to zero where an answer is confident.
    """
    own = _chosen(logits, labels)
    mask = functional.one_hot(labels, logits.shape[1]).bool()
    return logits.masked_fill(mask, -torch.inf).logsumexp(dim=1) - own


def towards(target: int | None) -> Loss:
    """What to climb to reach a target label; to leave the given labels, if there is no target."""
    if target is None:
        return rivalry
    return lambda logits, labels: -rivalry(logits, torch.full_like(labels, target))


def ratio(logits: Tensor, labels: Tensor) -> Tensor:
    """The difference-of-logits ratio of Croce and Hein 2020, equation 6, `[batch]`.

    Raises:
        DataError: fewer than three classes.
    """
    if logits.shape[1] < 3:
        raise DataError("loss=dlr needs three classes or more; use loss=ce.")
    top = logits.topk(3, dim=1)
    own = _chosen(logits, labels)
    rival = torch.where(top.indices[:, 0] == labels, top.values[:, 1], top.values[:, 0])
    return (rival - own) / (top.values[:, 0] - top.values[:, 2]).clamp_min(1e-12)


def perturbed(
    network: Network,
    images: np.ndarray,
    labels: np.ndarray,
    climb: Callable[[Tensor, Tensor, np.ndarray], Tensor],
    *,
    batch: int,
    progress: Progress,
) -> np.ndarray:
    """Changed copies of images, batch by batch.

    Args:
        network: in evaluation mode.
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        climb: (images `[batch, c, h, w]` in gray levels, labels `[batch]`, both where the network
            is, and the images as they are) to changes.
        batch: images in one pass.
        progress: told about every batch.

    Raises:
        ModelError: the network is in training mode.
    """
    device = _device(network)
    out = images.copy()
    for start in range(0, len(images), batch):
        originals = images[start : start + batch]
        gray = torch.tensor(originals).permute(0, 3, 1, 2).to(device, torch.float32)
        answers = torch.tensor(labels[start : start + batch], device=device)
        moved = gray + climb(gray, answers, originals).trunc()
        out[start : start + batch] = moved.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        progress("perturbing", start + len(originals), len(images))
    return out


def _chosen(logits: Tensor, labels: Tensor) -> Tensor:
    """The logit of each label, `[batch]`."""
    if int(labels.max()) >= logits.shape[1]:
        raise DataError(
            f"the label {int(labels.max())} is none of the network's {logits.shape[1]} classes; "
            "give class numbers from 0."
        )
    return logits.gather(1, labels[:, None]).squeeze(1)


def _device(network: Network) -> torch.device:
    """Where a network is; what is no module is given its images on the CPU."""
    if not isinstance(network, nn.Module):
        return torch.device("cpu")
    if network.training:
        raise ModelError(
            "the network is in training mode, in which images in one batch change each other; call "
            "its eval() first."
        )
    return next((p.device for p in network.parameters()), torch.device("cpu"))
