"""Sparse dictionary: features of one layer of which flagged inputs use one that others do not.

Belief: a layer holds more features than units, each of which is a direction, and few are used at a
time; the mechanism is one of them, or few.
Equation: a top-k autoencoder, `z = topk(E (a - b))` with the `active` largest of `features` numbers
kept where they are positive, `a' = D z + b` with unit columns of `D`, learned from trusted and
flagged states `a` of one place at the least squares. The value of a feature is the share of flagged
inputs that use it, less the share of trusted inputs of the same answers. Among the facts: the share
of variance explained, the share of features that nobody uses, and the AUROC of the feature of the
largest value.
Source: Makhzani, Frey 2014 (k-sparse autoencoders); Gao, la Tour, Tillman, Goh, Troll, Radford,
Sutskever, Leike, Wu 2025 (top-k for dictionaries).
Needs: activations between layers; trusted inputs with the answers of the flagged.
Cost: a forward pass for every input, and `steps` steps of a small network.
Fails when: inputs are too few to learn features from, or the place is the wrong one.
"""

from dataclasses import dataclass

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional

from anomech.explainers._comparing import compared
from anomech.kernel.config import nearest, option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations, able
from anomech.roles.tracer import Health

FEWEST = 100
"""States below which a dictionary is doubtful."""


@options
class SparseDictionary:
    """Features of a top-k autoencoder that flagged inputs use."""

    place: str = option("", "between layers whose states are looked at; empty is the last but one")
    features: int = option(256, "of the dictionary", ge=2)
    active: int = option(8, "features of an input at the most", ge=1)
    steps: int = option(1000, "of learning", unit="steps", ge=1)
    batch: int = option(128, "states in a step", ge=2)
    rate: float = option(3e-3, "learning rate of Adam", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations between layers."""
        return frozenset({Activations})

    def explain(
        self,
        flagged: ObservedExamples,
        trusted: ObservedExamples,
        *,
        seed: int,
        progress: Progress,
    ) -> Explanation:
        """See `anomech.roles.explainer.Explainer`; units are the dictionary's features.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
            ConfigError: no such place.
        """
        both = compared(flagged, trusted)
        name = self._place(list(able(flagged.task, Activations).points()))
        ours, whole = (
            pooled_activations(each, progress, [name])[name].float()
            for each in (both.flagged, trusted)
        )
        alike = torch.isin(trusted.groups, both.trusted.groups)
        middle = whole.mean(dim=0)
        scale = whole.std(dim=0).clamp_min(1e-6).mean()
        rows = torch.cat([ours, whole]).sub(middle) / scale
        made = self._learned(rows, seed, progress)
        codes = made.codes(rows, self.active)
        mine, theirs = codes[: len(ours)] > 0, codes[len(ours) :][alike] > 0
        value = mine.double().mean(dim=0) - theirs.double().mean(dim=0)
        best = int(value.argmax())
        strength = torch.cat([codes[: len(ours), best], codes[len(ours) :][alike, best]])
        truth = np.arange(len(strength)) < len(ours)
        left = (made.decoded(codes) - rows).square().sum() / rows.sub(rows.mean(0)).square().sum()
        facts = {
            "variance explained": 1 - float(left),
            "features that nobody uses": float(
                (codes > 0).any(dim=0).logical_not().double().mean()
            ),
            "share of flagged inputs with the best feature": float(mine[:, best].double().mean()),
            "share of trusted inputs with the best feature": float(theirs[:, best].double().mean()),
            "AUROC of the best feature": float(roc_auc_score(truth, strength.numpy())),
        }
        few = (f"a dictionary of {len(rows)} states may be chance.",) if len(rows) < FEWEST else ()
        health = Health((*both.problems, *few))
        return Explanation({f"dictionary of {name}": value}, None, health, facts)

    def _place(self, known: list[str]) -> str:
        if not self.place:
            return known[max(0, len(known) - 2)]
        if self.place not in known:
            raise ConfigError(
                f"no place between the layers is named '{self.place}': {nearest(self.place, known)}"
            )
        return self.place

    def _learned(self, rows: Tensor, seed: int, progress: Progress) -> "Dictionary":
        """A dictionary of rows `[n, d]`."""
        width, generator = rows.shape[1], torch_generator(seed, "dictionary")
        columns = functional.normalize(torch.randn(self.features, width, generator=generator))
        free = [columns.clone(), columns.clone(), rows.mean(dim=0)]
        free = [each.requires_grad_() for each in free]
        optimizer, rng = torch.optim.Adam(free, lr=self.rate), numpy_generator(seed, "dictionary")
        for step in range(self.steps):
            some = rows[torch.from_numpy(rng.integers(0, len(rows), self.batch))]
            with torch.enable_grad():
                made = Dictionary(*free)
                lost = (made.decoded(made.codes(some, self.active)) - some).square().mean()
                slopes = torch.autograd.grad(lost, free)
            for each, slope in zip(free, slopes, strict=True):
                each.grad = slope
            optimizer.step()
            progress("learning a dictionary", step + 1, self.steps)
        return Dictionary(*(each.detach() for each in free))


@dataclass(frozen=True)
class Dictionary:
    """A top-k autoencoder.

    Attributes:
        encoder: `[features, d]`.
        decoder: `[features, d]`; its rows are used at length one.
        middle: `[d]`.
    """

    encoder: Tensor
    decoder: Tensor
    middle: Tensor

    def codes(self, rows: Tensor, active: int) -> Tensor:
        """The largest numbers of each row where they are positive, zeros else `[n, features]`."""
        given = (rows - self.middle) @ self.encoder.T
        top = given.topk(min(active, given.shape[1]), dim=1)
        return torch.zeros_like(given).scatter(1, top.indices, top.values.relu())

    def decoded(self, codes: Tensor) -> Tensor:
        """Rows `[n, d]` of codes."""
        return codes @ functional.normalize(self.decoder, dim=1) + self.middle
