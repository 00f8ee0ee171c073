"""Training a small image classifier on arrays; seeded, nothing global, nothing printed."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.learning.pixels import as_float
from anomech.roles.attack import Batch, Objective

RISE = 0.2
"""Share of the steps in which the learning rate rises."""

MOMENTUM = 0.9
"""Nesterov's steps ask for one; the cycle leads it from 0.95 to 0.85 and back."""

NORMALIZATIONS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
LINEAR = (nn.Conv2d, nn.Linear)
"""Layers whose weights are drawn by the number of their inputs."""


@options
class Recipe:
    """How a network is trained, under one cycle of learning rate and momentum.

    SGD suits convolutional networks. A transformer takes `adamw` with a `peak` near
    1e-3 and a `weight_decay` near 0.05, which AdamW scales by the learning rate.
    """

    epochs: int = option(20, "passes over the training set", unit="epochs", ge=1)
    batch: int = option(128, "images a step", unit="images", ge=1)
    peak: float = option(0.2, "highest learning rate", gt=0)
    optimizer: Literal["sgd", "adamw"] = option("sgd", "what steps by the gradient")
    weight_decay: float = option(5e-4, "weight decay", ge=0)
    augment: Literal["none", "crop", "crop_flip"] = option("crop_flip", "random crops and flips")
    bfloat16: bool = option(False, "run the network in bfloat16 under autocast")


def initialize(network: nn.Module, seed: int) -> None:
    """Draw every weight anew at an address, so that a seed gives the same network anywhere.

    Bare parameters, those that a module of no library holds itself, are drawn at the address of
    their name: matrices by their first dimension as that of what they are multiplied with, vectors
    become zeros, as an offset begins.
    """
    generator = torch_generator(seed, "init")
    for module in network.modules():
        if isinstance(module, NORMALIZATIONS):
            module.reset_parameters()  # to ones and zeros, and statistics to those of no data
        if isinstance(module, LINEAR):
            fan_in = module.weight[0].numel()
            bound = (6 / fan_in) ** 0.5 if isinstance(module, nn.Conv2d) else fan_in**-0.5
            _draw(module.weight, bound, generator)
            if module.bias is not None:
                _draw(module.bias, fan_in**-0.5, generator)
    for name, parameter in _bare(network):
        bound = len(parameter) ** -0.5 if parameter.ndim > 1 else 0.0
        _draw(parameter, bound, torch_generator(seed, "init", name))


def _bare(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters outside the layers that torch comes with, and their names."""
    for prefix, module in network.named_modules():
        own = not type(module).__module__.startswith("torch.")
        if own and not isinstance(module, (*NORMALIZATIONS, *LINEAR)):
            yield from module.named_parameters(prefix, recurse=False)


@torch.no_grad()
def _draw(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    # Drawn aside and copied: where a tensor is, and how it lies in memory, changes no number.
    drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
    parameter.copy_(drawn)


def cross_entropy(network: nn.Module, batch: Batch) -> Tensor:
    """The objective of ordinary training, in nats."""
    return functional.cross_entropy(network(batch.inputs).float(), batch.labels)


def train(
    network: nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    recipe: Recipe,
    *,
    seed: int,
    objective: Objective = cross_entropy,
    fresh: bool = True,
    progress: Callable[[int, int], None] = lambda done, total: None,
    noted: Callable[[float], None] = lambda loss: None,
) -> nn.Module:
    """Train `network` in place, where it is, and return it in evaluation mode.

    Args:
        network: maps float images `[batch, c, h, w]` in [0, 1] to logits.
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        recipe: the schedule.
        seed: of the weights, the order and the augmentation.
        objective: of one step; it runs under the recipe's precision.
        fresh: draw the weights anew first.
        progress: called with (steps done, steps in all).
        noted: called with the mean of the objective over each epoch.

    Raises:
        ModelError: the objective is no longer finite.
    """
    if fresh:
        initialize(network, seed)
    device = next(network.parameters()).device
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = min(recipe.batch, len(labels))
    steps = recipe.epochs * (len(labels) // size)
    optimizer = _optimizer(network, recipe)
    schedule = _schedule(optimizer, recipe, steps)
    step = 0
    for epoch in range(recipe.epochs):
        rng = numpy_generator(seed, "order", epoch)
        order = rng.permutation(len(labels))[: len(labels) // size * size]
        total = torch.zeros((), device=device)
        for chosen in order.reshape(-1, size):
            batch = _batch(images, labels, chosen, recipe.augment, rng, device)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.bfloat16):
                loss = objective(network, batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            step += 1
            total += loss.detach()
            progress(step, steps)
        if not torch.isfinite(loss.detach()):
            raise ModelError(
                f"training diverged in epoch {epoch + 1}; lower the recipe's peak learning rate."
            )
        noted(float(total) * size / len(order))
    return network.eval()


def _batch(
    images: np.ndarray,
    labels: np.ndarray,
    chosen: np.ndarray,
    augment: str,
    rng: np.random.Generator,
    device: torch.device,
) -> Batch:
    """The chosen examples, augmented, where and as the network takes them."""
    inputs = augmented(as_float(images[chosen]), augment, rng).to(device)
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    return Batch(inputs, torch.from_numpy(labels)[chosen].to(device), chosen, rng)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            network.parameters(), lr=recipe.peak, weight_decay=recipe.weight_decay
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.peak,
        momentum=MOMENTUM,
        weight_decay=recipe.weight_decay,
        nesterov=True,
    )


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    # A rise of exactly one step is none to this schedule, which then divides by zero.
    rise = RISE if RISE * steps != 1 else 0.0
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.peak, total_steps=steps, pct_start=rise
    )


def augmented(batch: Tensor, kind: str, rng: np.random.Generator) -> Tensor:
    """Random crops, and flips, of images `[batch, c, h, w]`."""
    if kind == "none":
        return batch
    size, height, width = len(batch), batch.shape[2], batch.shape[3]
    margin = max(1, height // 8)
    padded = functional.pad(batch, (margin,) * 4)
    tops, lefts = rng.integers(0, 2 * margin + 1, (2, size))
    rows = torch.from_numpy(tops[:, None] + np.arange(height))
    columns = lefts[:, None] + np.arange(width)
    if kind == "crop_flip":
        flip = rng.random(size) < 0.5
        columns[flip] = columns[flip, ::-1]
    index = torch.arange(size)[:, None, None]
    picked = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], torch.from_numpy(columns)[:, None]]
    return picked.permute(0, 3, 1, 2)


@torch.no_grad()
def predict(network: nn.Module, images: np.ndarray, batch: int = 256) -> np.ndarray:
    """Predicted classes int64 `[n]`."""
    device = next(network.parameters()).device
    chunks = [
        network(as_float(images[start : start + batch]).to(device)).argmax(1).cpu()
        for start in range(0, len(images), batch)
    ]
    return torch.cat(chunks).numpy() if chunks else np.zeros(0, np.int64)
