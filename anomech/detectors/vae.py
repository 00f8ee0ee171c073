"""VAE: states that a small variational autoencoder rebuilds badly are suspicious (baseline).

Belief: honest states lie on a surface of few dimensions, which an autoencoder learns.
Equation: for standardized states `z`, an encoder and a decoder of one hidden layer are taught
`|z - D(m + s e)|^2 / 2 + KL(N(m, s^2) | N(0, 1))`; the score is that sum at `e = 0` over the
number of units, averaged over places.
Source: the detector of cupbearer (ejnnr/cupbearer) and Bailey et al. 2024: widths d, 2d, d/4, 2d, d
and Adam at 1e-3. Theirs draws `e` when it scores; here a score is the same every time.
Needs: what its tracer needs: activations.
Cost: one forward pass; a little training to fit.
Fails when: anchors are few, or the states of triggered inputs were trained to look honest.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from anomech.detectors._places import by_place, mean_over_places
from anomech.kernel.config import option, options
from anomech.kernel.plugins import chosen
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health, Tracer, TraceSource


@options
class Vae:
    """Reconstruction of states by a variational autoencoder."""

    tracer: Tracer = chosen("tracer", "states", "what is rebuilt")
    steps: int = option(200, "steps of Adam a place", ge=1)
    batch: int = option(64, "anchors a step", unit="examples", ge=1)
    rate: float = option(1e-3, "learning rate", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer."""
        return self.tracer.needs

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedVae":
        """Teach an autoencoder the anchors' states at every place."""
        source = anchors.source(self.tracer, seed=seed, progress=progress)
        rows, places = by_place(anchors, source, progress), dict[str, Rebuilder]()
        for name, values in rows.items():
            mean, spread = values.mean(dim=0), values.std(dim=0, correction=0).clamp_min(1e-6)
            generator = torch_generator(seed, "vae", name)
            weights = taught(((values - mean) / spread).float(), self, generator)
            places[name] = Rebuilder(mean, spread, weights)
            progress("teaching autoencoders", len(places), len(rows))
        return FittedVae(source, places)


@dataclass(frozen=True)
class Rebuilder:
    """An autoencoder of one place: mean and spread `[d]` of its states, and its weights."""

    mean: Tensor
    spread: Tensor
    weights: Mapping[str, Tensor]

    def surprise(self, rows: Tensor) -> Tensor:
        """The bound of `-log p` by unit `[n]`, of states `[n, d]`."""
        standard = ((rows - self.mean) / self.spread).float()
        return bound(self.weights, standard, torch.zeros(())).double() / rows.shape[1]


@dataclass(frozen=True)
class FittedVae:
    """Autoencoders by place."""

    source: TraceSource
    places: Mapping[str, Rebuilder]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """That of the traces."""
        return self.source.health

    @property
    def evaluations(self) -> float:
        """That of the traces."""
        return self.source.evaluations

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Mean over places of the bounds."""
        rows = by_place(observed, self.source, progress)
        bounds = {name: self.places[name].surprise(each) for name, each in rows.items()}
        return Scores(mean_over_places(bounds), {})


def bound(weights: Mapping[str, Tensor], rows: Tensor, noise: Tensor) -> Tensor:
    """`|z - D(m + s e)|^2 / 2 + KL` of standardized rows `[n, d]`, `[n]`.

    Args:
        weights: see `fresh`.
        rows: float32.
        noise: `e` `[n, latent]`, or zero.
    """
    hidden = functional.linear(rows, weights["in"], weights["in_bias"]).relu()
    mean, log_variance = functional.linear(hidden, weights["code"]).chunk(2, dim=1)
    code = mean + (log_variance / 2).exp() * noise
    hidden = functional.linear(code, weights["back"], weights["back_bias"]).relu()
    rebuilt = functional.linear(hidden, weights["out"])
    divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
    return (rows - rebuilt).square().sum(dim=1) / 2 + divergence


def fresh(width: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of an autoencoder of states of this width, drawn by their inputs."""
    latent = max(1, width // 4)
    shapes = {
        "in": (2 * width, width),
        "code": (2 * latent, 2 * width),
        "back": (2 * width, latent),
        "out": (width, 2 * width),
    }
    drawn = {
        name: torch.randn(shape, generator=generator) / shape[1] ** 0.5
        for name, shape in shapes.items()
    }
    return {**drawn, "in_bias": torch.zeros(2 * width), "back_bias": torch.zeros(2 * width)}


def taught(rows: Tensor, how: Vae, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of an autoencoder that has learned standardized rows `[n, d]`."""
    weights = fresh(rows.shape[1], generator)
    moving = [each.requires_grad_() for each in weights.values()]
    optimizer = torch.optim.Adam(moving, lr=how.rate)
    size = min(how.batch, len(rows))
    with torch.enable_grad():
        for _ in range(how.steps):
            some = rows[torch.randint(len(rows), (size,), generator=generator)]
            noise = torch.randn(size, weights["back"].shape[1], generator=generator)
            optimizer.zero_grad()
            bound(weights, some, noise).mean().backward()
            optimizer.step()
    return {name: each.detach() for name, each in weights.items()}
