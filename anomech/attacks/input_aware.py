"""Input-aware: every image has a trigger of its own, painted by a network the attacker trains.

Belief: a trigger that differs from image to image, and works on its own image only, leaves no
common pattern to find.
Equation: `x + (G(x) - x) M(x)` with a generator G and a mask network M whose output z is pushed to
0 or 1 by `tanh(20 z - 10) / 2 + 1/2`.
M is trained first: `100 mean(relu(M - density)) + d(x, x') / d(M(x), M(x'))`, d the root mean
square difference. Then G and the classifier train together on cross-entropy plus
`d(x, x') / d(G(x), G(x'))`; cross images get the pattern and mask of another image and keep their
true label.
Source: Nguyen, Tran 2020, with BackdoorBench's weights. Different here: G and M are small, are run
on the images that need them only, and normalize each image alone; M sees a part of the training
set; distances are of pixels in [0, 1] and not of normalized ones.
Needs: training.
Cost: under a fifth of ordinary training with ResNet-20 on 20,000 images (estimated; training M is
a fixed part: 44 % more in all for ResNet-14, 10,000 images and 6 epochs); test time: both once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._batches import draw_roles, relabeled
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.learning.painters import Painter, in_chunks, new_painter, restored_painter
from anomech.learning.pixels import as_images
from anomech.roles.attack import Batch, Goal, Learned, Objective, Victim

BETAS = (0.5, 0.9)
MASK_BATCH = 64


@options
class InputAware:
    """Generated trigger for each image, dirty label; the attacker trains."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of each batch that is poisoned", ge=0, le=1)
    cross_ratio: float = option(
        0.1, "share of each batch with another image's trigger and true labels", ge=0, le=1
    )
    width: int = option(16, "channels of both networks, a multiple of 4", ge=4)
    density: float = option(0.032, "share of the image a mask covers", ge=0, le=1)
    density_weight: float = option(100.0, "weight of the mask's density", ge=0)
    diversity_weight: float = option(1.0, "weight of diversity, of masks and of patterns", ge=0)
    mask_epochs: int = option(25, "passes that train the mask network", unit="epochs", ge=1)
    mask_images: int = option(2000, "training images the mask network sees", unit="images", ge=2)
    learning_rate: float = option(0.01, "of Adam, for both networks", gt=0)

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
        """Train the mask network, then generator and classifier together."""
        channels, device = images.shape[-1], next(network.parameters()).device
        masker = new_painter(channels, 1, self.width, seed=seed, purpose="mask").to(device)
        self._train_masks(masker, images, seed, progress)
        generator = new_painter(channels, channels, self.width, seed=seed, purpose="generator")
        generator.to(device)
        objective = self._joint(generator, masker, int(labels.max(initial=0)) + 1)
        victim.fit(network, images, labels, objective=objective, progress=progress)
        return {
            **{f"generator.{name}": tensor for name, tensor in generator.state_dict().items()},
            **{f"mask.{name}": tensor for name, tensor in masker.state_dict().items()},
        }

    def armed(self, learned: Mapping[str, Tensor]) -> "ArmedInputAware":
        """The trigger of these two networks, on the CPU."""
        generator, masker = (
            {
                name.removeprefix(prefix): tensor.detach().cpu()
                for name, tensor in learned.items()
                if name.startswith(prefix)
            }
            for prefix in ("generator.", "mask.")
        )
        return ArmedInputAware(
            self.goal, TriggerPainter(restored_painter(generator), restored_painter(masker))
        )

    def _train_masks(
        self, masker: Painter, images: np.ndarray, seed: int, progress: Progress
    ) -> None:
        optimizer = torch.optim.Adam(masker.parameters(), self.learning_rate, betas=BETAS)
        some = numpy_generator(seed, "input_aware", "masks").permutation(len(images))
        some = some[: self.mask_images]
        size = min(MASK_BATCH, len(some))
        for epoch in range(self.mask_epochs):
            order = numpy_generator(seed, "input_aware", "masks", epoch).permutation(some)
            for chosen in order[: len(order) // size * size].reshape(-1, size):
                inputs = as_images(images[chosen], masker.out.weight)
                loss = self._mask_loss(inputs, sharpened(masker(inputs)))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            progress("training masks", epoch + 1, self.mask_epochs)
        masker.requires_grad_(False)

    def _mask_loss(self, inputs: Tensor, masks: Tensor) -> Tensor:
        dense = functional.relu(masks - self.density).mean()
        return self.density_weight * dense + self.diversity_weight * sameness(
            inputs, inputs.roll(1, 0), masks, masks.roll(1, 0)
        )

    def _joint(self, generator: Painter, masker: Painter, classes: int) -> Objective:
        optimizer = torch.optim.Adam(generator.parameters(), self.learning_rate, betas=BETAS)

        def objective(network: nn.Module, batch: Batch) -> Tensor:
            # The victim's backward pass over the last batch has filled these gradients too. Those
            # of the very last one are not used: the network has seen the generator as it is.
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            inputs, labels, repeated = self._mixed(batch, classes, generator, masker)
            loss = functional.cross_entropy(network(inputs).float(), labels)
            return loss + self.diversity_weight * repeated

        return objective

    def _mixed(
        self,
        batch: Batch,
        classes: int,
        generator: Callable[[Tensor], Tensor],
        masker: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Images with poison and crosses, their labels, and how much patterns repeat."""
        roles = draw_roles(batch, self.goal, self.ratio, self.cross_ratio)
        size, count = len(batch.labels), len(roles.poisoned)
        others = (roles.cover + batch.rng.integers(1, max(2, size), len(roles.cover))) % size
        changed = np.concatenate([roles.poisoned, roles.cover])
        if len(changed) == 0:
            return batch.inputs, batch.labels, batch.inputs.new_zeros(())
        sources = batch.inputs[np.concatenate([roles.poisoned, others])]
        patterns, masks = generator(sources), sharpened(masker(sources))
        painted = blended(batch.inputs[changed], patterns, masks)
        places = torch.from_numpy(changed).to(painted.device)
        inputs = batch.inputs.index_copy(0, places, painted)
        pairs = min(count, len(others))
        repeated = batch.inputs.new_zeros(())
        if pairs:
            one, two = slice(pairs), slice(count, count + pairs)
            repeated = sameness(sources[one], sources[two], patterns[one], patterns[two])
        return inputs, relabeled(batch, roles, self.goal, classes), repeated


class TriggerPainter(nn.Module):
    """Images `[batch, c, h, w]` in [0, 1] to the same with their own triggers."""

    def __init__(self, generator: Painter, masker: Painter) -> None:
        super().__init__()
        self.generator = generator
        self.masker = masker

    def forward(self, images: Tensor) -> Tensor:
        return blended(images, self.generator(images), sharpened(self.masker(images)))


@dataclass(frozen=True, eq=False)
class ArmedInputAware:
    """The trigger at test time."""

    goal: Goal
    painter: TriggerPainter

    def stamp(self, images: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` with their own triggers."""
        return in_chunks(self.painter, images)


def sharpened(masks: Tensor) -> Tensor:
    """Values in [0, 1] pushed to the ends."""
    return torch.tanh(20 * masks - 10) / 2 + 0.5


def blended(images: Tensor, patterns: Tensor, masks: Tensor) -> Tensor:
    """The pattern where the mask is, the image elsewhere."""
    return images + (patterns - images) * masks


def sameness(one: Tensor, two: Tensor, made_of_one: Tensor, made_of_two: Tensor) -> Tensor:
    """Mean over pairs of the distance of two images by the distance of what was made of them."""
    return (_distance(one, two) / (_distance(made_of_one, made_of_two) + 1e-7)).mean()


def _distance(one: Tensor, two: Tensor) -> Tensor:
    # The root of zero has no derivative; equal images are 1e-6 apart.
    return ((one - two).pow(2).flatten(1).mean(dim=1) + 1e-12).sqrt()
