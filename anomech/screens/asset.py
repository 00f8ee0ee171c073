"""ASSET: weights that unlearn trusted examples and what looks like poison go apart on the two.

Belief: weights can be moved so that trusted examples are answered without any preference while the
part of the training set that is least like them is answered ever worse; honest examples follow the
trusted ones, and poison the other part.
Equation: round by round, one step down the variance of the logits of a trusted batch, and one up
the loss of the suspected part of a training batch, at most `log(classes) + 2` an example. The part:
a small network learns to tell the features of this batch (1) from those of the trusted one (0), and
suspected are those whose output has an adjusted outlyingness above `outlying`: its distance above
the median by that of the upper whisker of the adjusted boxplot, `q3 + 1.5 exp(3 MC) iqr` for a
medcouple `MC >= 0`, `q3 + 1.5 exp(4 MC) iqr` otherwise. `suspicion` is the loss of the label in
the end; suspects are beyond `m + z s`, with the median `m`, the spread `s` of the half below it,
and the normal quantile `z` of `tail`.
Source: Pan, Zeng, Lyu, Lin, Jia 2023 (ASSET); Hubert, Vandervieren 2008 (adjusted boxplot). They
keep batch statistics of training; here the model's own stay.
Needs: features, logits, weights that can be moved, labels as training saw them, trusted examples.
Cost: a forward and a backward pass over two batches each round.
Fails when: it is not steady: published re-runs of it found a fifth of the poison on CIFAR-10 and
flagged a third of what is clean.
"""

import math
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Overlay, Progress
from anomech.observing.joining import in_place, passes
from anomech.roles.black_box import Movable
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features, Logits
from anomech.screens._labels import check_labels

HIDDEN = 128
"""Units of the network that tells batches apart."""

INNER_RATE = 1e-4
"""Of that network: a faster one learns every row by heart, and none stands out."""

BEYOND = 2.0
"""Nats above those of an even guess at which a suspected example is answered badly enough."""


@options
class Asset:
    """Loss after unlearning trusted examples and the part least like them."""

    rounds: int = option(200, "steps down and up", unit="steps", ge=1)
    batch: int = option(128, "examples of each kind in a step", unit="examples", ge=8)
    rate: float = option(1e-3, "learning rate of Adam", gt=0)
    inner: int = option(100, "steps of the network that tells batches apart", ge=1)
    outlying: float = option(1.0, "outlyingness of a suspected example of a batch", gt=0)
    tail: float = option(1e-6, "of a normal distribution, beyond which a loss is suspected", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Features, logits, and weights to move."""
        return frozenset({Features, Logits, Movable})

    @property
    def needs_trusted(self) -> bool:
        """Always."""
        return True

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`.

        Raises:
            DataError: not one label for each example, or no trusted examples.
        """
        check_labels(observed, labels)
        if trusted is None:
            raise DataError("ASSET compares with trusted examples; give some.")
        moved, shares = self._moved(observed, trusted, labels, seed, progress)
        losses = _losses(observed, labels, moved, progress)
        suspects = losses > half_normal_bound(losses, self.tail)
        evaluations = 1.0 + 6.0 * self.rounds * self.batch / len(observed)
        facts = {"suspected share of a batch": float(np.mean(shares))}
        return Screened(losses, suspects, evaluations=evaluations, facts=facts)

    def _moved(
        self,
        observed: ObservedExamples,
        trusted: ObservedExamples,
        labels: np.ndarray,
        seed: int,
        progress: Progress,
    ) -> tuple[Overlay, list[float]]:
        """Weights in the end, and the share of each batch that was suspected."""
        task, shares = observed.task, list[float]()
        weights = {name: each.detach().clone() for name, each in task.watched.items()}
        leaves = [each.requires_grad_() for each in weights.values()]
        optimizer = torch.optim.Adam(leaves, lr=self.rate)
        rng = numpy_generator(seed, "asset")
        most = math.log(observed.logits.shape[1]) + BEYOND
        for step in range(self.rounds):
            some, known = (
                rng.choice(len(each), min(self.batch, len(each)), replace=False)
                for each in (observed, trusted)
            )
            place = torch.from_numpy(some)
            odd = place[
                self._odd(observed.features[place], trusted.features[torch.from_numpy(known)], seed)
            ].numpy()
            shares.append(len(odd) / len(some))
            with torch.enable_grad():
                flat = task.respond(weights, trusted.examples.load(known)).logits
                assert flat is not None, "the task gives logits"
                goal = flat.var(dim=1).mean()
                if len(odd):
                    worse = task.respond(weights, observed.examples.load(odd)).logits
                    wanted = torch.from_numpy(labels[odd])
                    lost = _label_losses(worse, wanted)
                    goal = goal - lost.clamp_max(most).sum() / len(some)
                slopes = torch.autograd.grad(goal, leaves, allow_unused=True)
            for leaf, slope in zip(leaves, slopes, strict=True):
                leaf.grad = torch.zeros_like(leaf) if slope is None else slope
            optimizer.step()
            progress("unlearning", step + 1, self.rounds)
        return {name: each.detach() for name, each in weights.items()}, shares

    def _odd(self, batch: Tensor, known: Tensor, seed: int) -> Tensor:
        """Which rows of a batch `[b, d]` are told from trusted ones most clearly, bool `[b]`."""
        both = torch.cat([batch, known]).float()
        both = (both - both.mean(dim=0)) / both.std(dim=0).clamp_min(1e-6)
        truth = torch.cat([torch.ones(len(batch)), torch.zeros(len(known))])
        told = told_apart(both, truth, self.inner, torch_generator(seed, "asset", "inner"))
        return outlyingness(told[: len(batch)].double().numpy()) > self.outlying


def told_apart(rows: Tensor, truth: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Outputs `[n]` of a network of two layers that learned which rows `[n, d]` are which."""
    widths = ((rows.shape[1], HIDDEN), (HIDDEN, 1))
    free = [
        torch.empty(outputs, inputs)
        .uniform_(-(inputs**-0.5), inputs**-0.5, generator=generator)
        .requires_grad_()
        for inputs, outputs in widths
    ]
    free += [torch.zeros(HIDDEN, requires_grad=True), torch.zeros(1, requires_grad=True)]
    optimizer = torch.optim.Adam(free, lr=INNER_RATE)

    def said() -> Tensor:
        inside = functional.linear(rows, free[0], free[2]).relu()
        return functional.linear(inside, free[1], free[3])[:, 0]

    for _ in range(steps):
        with torch.enable_grad():
            slopes = torch.autograd.grad(functional.mse_loss(said(), truth), free)
        for each, slope in zip(free, slopes, strict=True):
            each.grad = slope
        optimizer.step()
    return said().detach()


def outlyingness(values: np.ndarray) -> Tensor:
    """How far values `[n]` lie above their median, by the upper whisker, float64 `[n]`."""
    first, middle, third = np.quantile(values, (0.25, 0.5, 0.75))
    skew = medcouple(values)
    whisker = third + 1.5 * np.exp((3 if skew >= 0 else 4) * skew) * (third - first)
    scale = max(float(whisker - middle), 1e-12)
    return torch.from_numpy((values - middle) / scale)


def medcouple(values: np.ndarray) -> float:
    """Skewness in [-1, 1]: the median of `((b - m) - (m - a)) / (b - a)` over `a <= m <= b`."""
    middle = np.median(values)
    low, high = values[values <= middle][:, None], values[values >= middle][None]
    wide = high - low
    ratios = np.divide(high + low - 2 * middle, wide, out=np.zeros_like(wide), where=wide > 0)
    return float(np.median(ratios))


def half_normal_bound(values: Tensor, tail: float) -> float:
    """What a normal distribution with the lower half of values `[n]` exceeds this rarely."""
    middle = values.median()
    spread = (values[values <= middle] - middle).square().mean().sqrt()
    return float(middle) + NormalDist().inv_cdf(1 - tail) * float(spread)


def _label_losses(logits: Tensor | None, labels: Tensor) -> Tensor:
    assert logits is not None, "the task gives logits"
    found: Tensor = nn.functional.cross_entropy(logits, labels.to(logits.device), reduction="none")
    return found


@torch.no_grad()
def _losses(
    observed: ObservedExamples, labels: np.ndarray, moved: Overlay, progress: Progress
) -> Tensor:
    """Losses of the labels at moved weights, float64 `[examples]`, nats."""
    parts, wanted = list[tuple[np.ndarray, Tensor]](), torch.tensor(labels)
    for places, own in passes(observed.task, observed.examples, wanted, "losses", progress):
        logits = observed.task.respond(moved, observed.examples.load(places)).logits
        assert own is not None
        parts.append((places, _label_losses(logits, own).double().cpu()))
    return in_place(parts, len(observed)).double()
