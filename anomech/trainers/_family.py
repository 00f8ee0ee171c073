"""The family of trainers whose terms are each other's ablations.

`L = CE(f(X), y) + eta U(f(O)) + beta [KL(X -> X') + eta KL(O -> O')] + gamma CE(f(X_h), g(X'))`
with outliers `O`, moved images `X'`, helper images `X_h = X + 2 (X' - X)` and a frozen network `g`
of ordinary training. Standard has the first term, outlier exposure two, TRADES the first and half
of the third, TRADES with outlier exposure three, HALO all.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.data.splits import overlap
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.types import Examples, Progress
from anomech.learning.pixels import as_float
from anomech.learning.robust import Adversary, divergence, from_uniform
from anomech.learning.session import Averaging, run_session
from anomech.learning.training import Recipe, augmented
from anomech.roles.attack import Batch, Objective
from anomech.roles.tracer import Health
from anomech.roles.trainer import Keeper, Trained


@dataclass(frozen=True)
class Terms:
    """Weights of the terms; a term of weight zero is not computed.

    Attributes:
        exposure: eta, of outliers.
        robust: beta, of moved images.
        helper: gamma, of helper images.
        adversary: who moves them.
        averaging: of the weights.
    """

    exposure: float = 0.0
    robust: float = 0.0
    helper: float = 0.0
    adversary: Adversary = Adversary()
    averaging: Averaging = Averaging()


@dataclass(frozen=True, eq=False)
class Material:
    """What is learned from.

    Attributes:
        images: uint8 `[n, h, w, c]`.
        labels: int64 `[n]`.
        outliers: uint8 `[m, h, w, c]`; empty if the method uses none.
        health: what a person should know about them.
    """

    images: np.ndarray
    labels: np.ndarray
    outliers: np.ndarray
    health: Health


def fit(
    terms: Terms,
    network: nn.Module,
    examples: Examples,
    outliers: Examples | None,
    *,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    keep: Keeper | None,
) -> Trained:
    """Train a copy of a network on some terms; see `anomech.roles.trainer.Trainer`.

    Raises:
        DataError: examples without labels, none, of one class, or outliers that are examples.
        ConfigError: outliers that are missing, or that the terms have no use for.
        ModelError: the loss is no longer finite.
    """
    material = checked(examples, outliers, exposed=terms.exposure > 0)
    helper = None
    if terms.helper > 0:
        helper = _helper(network, material, recipe, seed, progress, keep and keep.part("helper"))
    ended = run_session(
        copy.deepcopy(network),
        material.images,
        material.labels,
        recipe,
        seed=seed,
        objective=objective(terms, material.outliers, recipe, helper),
        averaging=terms.averaging,
        keep=keep,
        progress=lambda done, total: progress("training", done, total),
    )
    return Trained(ended.weights, {"loss": ended.losses}, material.health)


def checked(examples: Examples, outliers: Examples | None, *, exposed: bool) -> Material:
    """Examples and outliers in memory; outliers that are examples are left out, and told.

    Raises:
        DataError: see `fit`.
        ConfigError: see `fit`.
    """
    if not len(examples) or examples.labels is None:
        raise DataError("training needs examples with labels; give some.")
    if len(np.unique(examples.labels)) < 2:
        raise DataError("the examples are of one class only; give a second one to tell it from.")
    images, labels = examples.load(np.arange(len(examples))), np.array(examples.labels)
    if not exposed and outliers is not None:
        raise ConfigError("this training has no use for outliers; leave them out.")
    if not exposed:
        return Material(images, labels, images[:0], Health())
    if outliers is None or not len(outliers):
        raise ConfigError(
            "this training learns from outliers; give images that belong to no class."
        )
    twice = overlap(outliers.digests(), examples.digests())
    kept = np.setdiff1d(np.arange(len(outliers)), twice)
    if not len(kept):
        raise DataError("every outlier is a training example too; give images of no class.")
    foreign = outliers.load(kept)
    if foreign.shape[1:] != images.shape[1:]:
        raise DataError(
            f"outliers are {list(foreign.shape[1:])} and examples {list(images.shape[1:])} "
            "(height, width, channels); scale them to one size."
        )
    told = f"{len(twice)} of {len(outliers)} outliers have the content of a training example and "
    problems = (f"{told}were left out; look whether the outlier set is what you think.",)
    return Material(images, labels, foreign, Health(problems if len(twice) else ()))


def _helper(
    network: nn.Module,
    material: Material,
    recipe: Recipe,
    seed: int,
    progress: Progress,
    keep: Keeper | None,
) -> nn.Module:
    """The frozen network of ordinary training, from the same examples and recipe."""
    twin = copy.deepcopy(network)
    run_session(
        twin,
        material.images,
        material.labels,
        recipe,
        seed=seed,
        keep=keep,
        progress=lambda done, total: progress("training the helper", done, total),
    )
    return twin.requires_grad_(False)


def objective(
    terms: Terms, outliers: np.ndarray, recipe: Recipe, helper: nn.Module | None
) -> Objective:
    """The loss of one step.

    Args:
        terms: what it is made of.
        outliers: uint8 `[m, h, w, c]`, of which as many as the batch has are drawn for each step.
        recipe: how outliers are augmented.
        helper: in evaluation mode, if there is a helper term.
    """

    def loss(network: nn.Module, batch: Batch) -> Tensor:
        inputs, count = batch.inputs, len(batch.inputs)
        if terms.exposure > 0:
            inputs = torch.cat([inputs, drawn(outliers, count, recipe, batch)])
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        logits = network(inputs).float()
        total = functional.cross_entropy(logits[:count], batch.labels)
        if terms.exposure > 0:
            total = total + terms.exposure * from_uniform(logits[count:]).mean()
        if not (terms.robust > 0 or terms.helper > 0):
            return total
        moved = _moved(terms.adversary, network, inputs, batch)
        if terms.robust > 0:
            apart = divergence(logits, network(moved).float())
            total = total + terms.robust * apart[:count].mean()
            if terms.exposure > 0:
                total = total + terms.robust * terms.exposure * apart[count:].mean()
        if helper is not None:
            total = total + terms.helper * _help(network, helper, inputs[:count], moved[:count])
        return total

    return loss


def _moved(adversary: Adversary, network: nn.Module, inputs: Tensor, batch: Batch) -> Tensor:
    """Images whose answers are as far from those to the inputs as the adversary gets."""
    with torch.no_grad(), adversary.mode(network):
        reference = network(inputs).float()
    drawn_start = batch.rng.uniform(-1, 1, tuple(inputs.shape)).astype(np.float32)
    start = torch.from_numpy(drawn_start).to(inputs.device)
    height: Callable[[Tensor], Tensor] = lambda logits: divergence(reference, logits)  # noqa: E731
    return adversary.move(network, inputs, height, start)


def _help(network: nn.Module, helper: nn.Module, inputs: Tensor, moved: Tensor) -> Tensor:
    """Twice as far along the adversary's way, the network answers as the helper does."""
    with torch.no_grad():
        answers = helper(moved).argmax(dim=1)
    return functional.cross_entropy(network(inputs + 2 * (moved - inputs)).float(), answers)


def drawn(outliers: np.ndarray, count: int, recipe: Recipe, batch: Batch) -> Tensor:
    """Augmented outliers of one step, float `[count, c, h, w]`; few of them come again."""
    places = batch.rng.integers(0, len(outliers), count)
    found = augmented(as_float(outliers[places]), recipe.augment, batch.rng)
    return found.to(batch.inputs.device)
