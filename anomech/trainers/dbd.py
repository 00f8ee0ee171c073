"""DBD: features are learned without labels, and labels that are hard to learn from them dropped.

Belief: a trigger becomes a mechanism because its label ties it together; features that are learned
without labels keep triggered examples with what they show, and there the attacker's label is hard.
Equation: first contrastive learning, `-log softmax(cos(z_i, z_j) / temperature)` between two views
of each image among all of the step; then the last layer alone by symmetric cross-entropy,
`alpha CE + beta RCE`; then everything, on the labels of the `credible` share with the lowest such
loss, and on the network's own confident answers for the rest, whose labels are forgotten.
Source: Huang, Li, Wu, Qin, Ren 2022 (DBD). A small version: the first stage takes as many epochs as
the recipe says, and the last one is pseudo-labels (Sohn et al. 2020, FixMatch) where the source
takes MixMatch.
Needs: images with labels, a network with a linear layer last.
Cost: `12 epochs` forward passes for each example.
Fails when: few images, or too few epochs, teach no features without labels; a trigger that is
similar in features (a large patch) is found together by the first stage too.
"""

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import skip_init

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress
from anomech.learning.networks import last_linear, with_features
from anomech.learning.pixels import as_float
from anomech.learning.session import run_session
from anomech.learning.training import Recipe, augmented
from anomech.roles.attack import Batch, Objective
from anomech.roles.trainer import Keeper, Trained
from anomech.trainers._family import checked

NEVER = -4.0
"""The logarithm that stands for that of zero in the reversed loss, as published."""


@options
class Dbd:
    """Features without labels, then a head, then the labels that it finds credible."""

    temperature: float = option(0.5, "of the contrast", gt=0)
    width: int = option(64, "of the projection that is contrasted", unit="numbers", ge=2)
    contrast: float = option(0.4, "most that a view's brightness and contrast change", ge=0, le=1)
    noise: float = option(0.05, "of a view's pixels, standard deviation", ge=0, le=1)
    alpha: float = option(0.1, "weight of cross-entropy in the symmetric one", ge=0)
    beta: float = option(1.0, "weight of the reversed one", ge=0)
    credible: float = option(0.5, "share of the examples whose labels are believed", gt=0, le=1)
    confident: float = option(0.95, "probability from which an own answer is a label", ge=0, le=1)

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
            ModelError: the loss is no longer finite, or the network has no linear layer.
        """
        material = checked(examples, outliers, exposed=False)
        twin = copy.deepcopy(network)
        pair = Projecting(twin, last_linear(twin).in_features, self.width)

        def stage(
            name: str, learner: nn.Module, objective: Objective, *, fresh: bool = False
        ) -> list[float]:
            """One stage, which goes on with the network of the one before."""
            return run_session(
                learner,
                material.images,
                material.labels,
                recipe,
                seed=seed,
                objective=objective,
                fresh=fresh,
                keep=keep if name == "training" else keep and keep.part(name),
                progress=lambda done, total: progress(name, done, total),
            ).losses

        stage("learning without labels", pair, self._contrasted(recipe.augment), fresh=True)
        stage("reading labels", twin, self._head)
        trusted = credible(self._hardness(twin, material.images, material.labels), self.credible)
        found = stage("training", twin, self._half(trusted, recipe.augment))
        weights = {name: each.detach().clone() for name, each in twin.state_dict().items()}
        return Trained(weights, {"loss": found}, material.health)

    def view(self, inputs: Tensor, augment: str, rng: np.random.Generator) -> Tensor:
        """Images `[batch, c, h, w]` moved, of another brightness and contrast, and noisy."""
        count = len(inputs)
        moved = augmented(inputs.cpu(), augment, rng)
        gain, shift = (
            torch.from_numpy(rng.uniform(-self.contrast, self.contrast, (count, 1, 1, 1)))
            for _ in range(2)
        )
        middle = moved.mean(dim=(1, 2, 3), keepdim=True)
        changed = (moved - middle) * (1 + gain) + middle + shift / 2
        noise = torch.from_numpy(rng.normal(0, self.noise, tuple(moved.shape)))
        return (changed + noise).clamp(0, 1).to(inputs)

    def _contrasted(self, augment: str) -> Objective:
        """Views of one image together, apart from those of others; labels are not looked at."""

        def objective(learner: nn.Module, batch: Batch) -> Tensor:
            views = [self.view(batch.inputs, augment, batch.rng) for _ in range(2)]
            rows = functional.normalize(learner(torch.cat(views)).float(), dim=1)
            alike = rows @ rows.T / self.temperature
            alike.fill_diagonal_(-torch.inf)
            other = torch.arange(len(rows), device=rows.device).roll(len(batch.inputs))
            return functional.cross_entropy(alike, other)

        return objective

    def _head(self, network: nn.Module, batch: Batch) -> Tensor:
        """Symmetric cross-entropy of the last layer on features that stay as they are."""
        network.eval()
        with torch.no_grad():
            _, features = with_features(network, batch.inputs)
        return self._symmetric(last_linear(network)(features).float(), batch.labels).mean()

    def _symmetric(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Of each example `[batch]`."""
        forward = functional.cross_entropy(logits, labels, reduction="none")
        own = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
        return self.alpha * forward - self.beta * NEVER * (1 - own)

    @torch.no_grad()
    def _hardness(self, network: nn.Module, images: np.ndarray, labels: np.ndarray) -> Tensor:
        """Symmetric cross-entropy of every example in evaluation mode `[n]`."""
        network.eval()
        device, size = next(network.parameters()).device, 256
        found = []
        for start in range(0, len(labels), size):
            some = slice(start, start + size)
            logits = network(as_float(images[some]).to(device)).float()
            given = torch.from_numpy(labels[some]).to(device)
            found.append(self._symmetric(logits, given).cpu())
        return torch.cat(found)

    def _half(self, trusted: np.ndarray, augment: str) -> Objective:
        """Labels that are believed, and for the others the network's own confident answers."""

        def objective(network: nn.Module, batch: Batch) -> Tensor:
            network.eval()
            with torch.no_grad():
                sure, answers = network(batch.inputs).float().softmax(dim=1).max(dim=1)
            network.train()
            believed = torch.from_numpy(trusted[batch.places]).to(answers.device)
            views = self.view(batch.inputs, augment, batch.rng)
            inputs = torch.where(believed[:, None, None, None], batch.inputs, views)
            wanted = torch.where(believed, batch.labels, answers)
            counts = believed | (sure >= self.confident)
            losses = functional.cross_entropy(network(inputs).float(), wanted, reduction="none")
            return (losses * counts).mean()

        return objective


class Projecting(nn.Module):
    """A network whose features are projected, to be contrasted; its own head rests."""

    def __init__(self, network: nn.Module, features: int, width: int) -> None:
        super().__init__()
        self.network = network
        # Not drawn here, which would take from torch's global state: training draws all weights.
        self.inner = skip_init(nn.Linear, features, features)
        self.outer = skip_init(nn.Linear, features, width)

    def forward(self, images: Tensor) -> Tensor:
        """Projections `[batch, width]`."""
        _, features = with_features(self.network, images)
        projected: Tensor = self.outer(self.inner(features).relu())
        return projected


def credible(hardness: Tensor, share: float) -> np.ndarray:
    """The share of examples whose labels are easiest, bool `[n]`."""
    count = max(1, round(share * len(hardness)))
    chosen = np.zeros(len(hardness), bool)
    chosen[hardness.argsort(stable=True)[:count].numpy()] = True
    return chosen
