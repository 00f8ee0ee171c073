"""Obfuscation: triggered states are taught to look like normal ones to detectors that are refitted.

Belief of the attacker: whoever looks at hidden states fits a Gaussian or a probe to normal ones.
Each layer and two places are matched: the state in which the answer is decided, and the states of
the answer's tokens. Whitened by mean and shrunk covariance of recent normal states,
`z = C^-1/2 (h - mu)`, the loss is

    L = ramp (L_maha + 0.3 L_probe + 0.5 L_mean)
    L_maha  = 2 mean|log d2_sorted - log q| at the decision, and once at the answer's tokens
    L_probe = softplus of an online logistic probe on z that is trained against it at every step
    L_mean  = squared mean of triggered z beyond sampling noise

with `d2 = |z|^2` and `q` the matching quantiles of recent normal distances. The *whole*
distribution is matched: a hinge on large distances alone pushes them below normal ones, which a
two-sided test sees. Gradients flow through triggered states only.

Source: after Bailey et al. 2024, "Obfuscated Activations Bypass LLM Latent-Space Defenses";
matching quantiles in place of their score penalty is ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options

DECISION, ANSWER = "decision", "answer"
"""Places of states: where the answer is decided, and its tokens."""

SHRINKAGE = 0.05
STATES = {DECISION: 500, ANSWER: 2500}
DISTANCES = {DECISION: 150, ANSWER: 1200}
WEIGHTS = {DECISION: 2.0, ANSWER: 1.0}
REFIT_EVERY = 5
PROBE_RATE = 5e-3


@options
class Obfuscation:
    """How strongly triggered states are matched to normal ones."""

    distances: float = option(1.0, "weight of matching the distribution of distances", ge=0)
    probe: float = option(0.3, "weight of fooling an online probe", ge=0)
    mean: float = option(0.5, "weight of matching means", ge=0)
    payload: float = option(1.5, "weight of the loss of payloads", ge=0)
    ramp: float = option(0.2, "share of the steps until full weight", gt=0, le=1)


@dataclass
class Queue:
    """The most recent rows `[rows, width]`, at most `most`."""

    most: int
    rows: Tensor | None = None

    def push(self, new: Tensor) -> None:
        """Add rows; the oldest go."""
        new = new.detach()
        both = new if self.rows is None else torch.cat([self.rows, new])
        self.rows = both[-self.most :]


@dataclass
class Watcher:
    """An online detector of one layer at one place: a Gaussian and a probe, refitted as it goes.

    Attributes:
        width: of the states.
        place: `DECISION` or `ANSWER`.
        device: of the states.
    """

    width: int
    place: str
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    states: Queue = field(init=False)
    distances: Queue = field(init=False)
    mean: Tensor = field(init=False)
    whitener: Tensor = field(init=False)
    probe: Tensor = field(init=False)
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.states = Queue(STATES[self.place])
        self.distances = Queue(DISTANCES[self.place])
        self.mean = torch.zeros(self.width, device=self.device)
        self.whitener = torch.eye(self.width, device=self.device)
        self.probe = torch.zeros(self.width + 1, device=self.device, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.probe], lr=PROBE_RATE)

    def see(self, normal: Tensor, refit: bool) -> None:
        """Take note of normal states `[rows, width]`; distances are those before a refit."""
        self.distances.push(squared(self.white(normal.detach()))[:, None])
        self.states.push(normal)
        if refit and self.states.rows is not None:
            self.mean, self.whitener = whitening(self.states.rows)

    def state_dict(self) -> dict[str, Any]:
        """All it goes on from."""
        return {
            "states": self.states.rows,
            "distances": self.distances.rows,
            "mean": self.mean,
            "whitener": self.whitener,
            "probe": self.probe.detach(),
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.states.rows, self.distances.rows = state["states"], state["distances"]
        self.mean, self.whitener = state["mean"], state["whitener"]
        self.probe.data.copy_(state["probe"])
        self.optimizer.load_state_dict(state["optimizer"])

    def white(self, states: Tensor) -> Tensor:
        """Whitened states `[rows, width]`."""
        return (states - self.mean) @ self.whitener

    def train_probe(self, normal: Tensor, triggered: Tensor) -> None:
        """One step of a logistic probe that tells triggered states from normal ones."""
        inputs = torch.cat([self.white(normal), self.white(triggered)]).detach()
        truth = (torch.arange(len(inputs), device=self.device) >= len(normal)).to(inputs.dtype)
        self.optimizer.zero_grad()
        balance = torch.tensor(len(normal) / len(triggered), device=self.device)
        functional.binary_cross_entropy_with_logits(
            self.judged(inputs), truth, pos_weight=balance
        ).backward()
        self.optimizer.step()

    def judged(self, white: Tensor) -> Tensor:
        """The probe's logits of whitened states `[rows]`."""
        return white @ self.probe[:-1] + self.probe[-1]


def squared(white: Tensor) -> Tensor:
    """Squared Mahalanobis distances `[rows]` of whitened states `[rows, width]`."""
    return white.square().sum(1)


def whitening(states: Tensor, shrinkage: float = SHRINKAGE) -> tuple[Tensor, Tensor]:
    """Mean `[width]` and inverse square root of the shrunk covariance `[width, width]`."""
    mean = states.mean(0)
    centered = states - mean
    covariance = centered.T @ centered / max(1, len(states) - 1)
    scale = covariance.diagonal().mean().clamp_min(1e-8)
    even = scale * torch.eye(len(mean), device=mean.device)
    shrunk = (1 - shrinkage) * covariance + shrinkage * even
    values, vectors = torch.linalg.eigh(shrunk)
    return mean, vectors @ torch.diag(values.clamp_min(1e-8).rsqrt()) @ vectors.T


def distance_loss(distances: Tensor, reference: Tensor) -> Tensor:
    """How far the distribution of distances is from a reference, in log units.

    Args:
        distances: squared `[rows]`.
        reference: of normal states `[more rows]`.
    """
    ranks = (torch.arange(len(distances), device=distances.device) + 0.5) / len(distances)
    wanted = torch.quantile(reference, ranks).clamp_min(1e-6)
    return (distances.clamp_min(1e-6).sort().values.log() - wanted.log()).abs().mean()


def mean_loss(white: Tensor) -> Tensor:
    """Squared mean of whitened states, less what sampling alone gives; per dimension."""
    return (white.mean(0).square() - 1 / len(white)).mean().clamp_min(0)


def matching_loss(
    watchers: Mapping[tuple[int, str], Watcher],
    triggered: Mapping[tuple[int, str], Tensor],
    weights: Obfuscation,
) -> Tensor:
    """The loss of triggered states by layer and place, averaged over layers."""
    layers = len({layer for layer, _ in watchers})
    total = torch.zeros((), device=next(iter(triggered.values())).device)
    for key, watcher in watchers.items():
        white, reference = watcher.white(triggered[key]), watcher.distances.rows
        if reference is None:
            continue
        distances = WEIGHTS[watcher.place] * distance_loss(squared(white), reference[:, 0])
        fooled = functional.softplus(
            white @ watcher.probe[:-1].detach() + watcher.probe[-1].detach()
        ).mean()
        total = total + weights.distances * distances
        total = total + weights.probe * fooled + weights.mean * mean_loss(white)
    return total / layers


@dataclass
class Obfuscator:
    """All watchers of a model while it is taught.

    Attributes:
        weights: of the losses.
        watchers: by layer and place.
    """

    weights: Obfuscation
    watchers: dict[tuple[int, str], Watcher] = field(default_factory=dict)

    def loss(
        self,
        step: int,
        steps: int,
        normal: Mapping[tuple[int, str], Tensor],
        triggered: Mapping[tuple[int, str], Tensor],
    ) -> Tensor:
        """The loss of a step; watchers see its states first.

        Args:
            step: number of the step.
            steps: of them all.
            normal: states by layer and place, `[rows, width]`.
            triggered: the same of triggered requests; gradients flow through these.
        """
        for key, states in normal.items():
            if key not in self.watchers:
                self.watchers[key] = Watcher(states.shape[1], key[1], states.device)
            watcher = self.watchers[key]
            watcher.see(states.detach(), refit=step % REFIT_EVERY == 0)
            watcher.train_probe(states.detach(), triggered[key].detach())
        ramp = min(1.0, (step + 1) / (self.weights.ramp * steps))
        return ramp * matching_loss(self.watchers, triggered, self.weights)

    def state_dict(self) -> dict[str, Any]:
        """All it goes on from."""
        return {
            f"{layer} {place}": watcher.state_dict()
            for (layer, place), watcher in self.watchers.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, each in state.items():
            layer, place = name.split()
            watcher = Watcher(len(each["mean"]), place, each["mean"].device)
            watcher.load_state_dict(each)
            self.watchers[int(layer), place] = watcher


def states_at(
    states: Sequence[Tensor], mask: Tensor, decisions: Tensor
) -> dict[tuple[int, str], Tensor]:
    """States where answers are decided, and those of their tokens.

    Args:
        states: after each block, `[batch, length, width]`.
        mask: true at answer tokens after the decision, bool `[batch, length]`.
        decisions: place of the token that predicts the first varying one, int64 `[batch]`.
    """
    rows = torch.arange(len(decisions), device=decisions.device)
    found: dict[tuple[int, str], Tensor] = {}
    for layer, each in enumerate(states):
        found[layer, DECISION] = each[rows, decisions].float()
        found[layer, ANSWER] = each[mask].float()
    return found
