"""Patching effect: units whose trusted activation, put in, takes the flagged answer away.

Belief: a mechanism is where exchanging what a flagged input shows for what a trusted one shows
changes the answer.
Equation: `sum_positions (a - a') . d log-odds / d a` of each unit, with `a` the activation of a
flagged input and `a'` the mean over positions and trusted inputs of its answer: by how much the
log-odds of the answer fall, to first order, if the unit is patched. A mean over flagged inputs, in
nats.
Source: attribution patching (Nanda 2023; Syed, Rager, Conmy 2023), the first order of activation
patching (Meng, Bau, Andonian, Belinkov 2022).
Needs: activations between layers; trusted inputs with the answers of the flagged.
Cost: a forward pass for every input and a backward pass for the flagged.
Fails when: patching leads beyond where the first order holds; saturated units have no slope.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from anomech.explainers._comparing import compared, means_of
from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled_activations
from anomech.observing.joining import passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.explainer import Explanation
from anomech.roles.task import Ability, Activations, able
from anomech.roles.tracer import Health


@options
class PatchingEffect:
    """What exchanging each unit's activation for a trusted one takes from the flagged answer."""

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
        """See `anomech.roles.explainer.Explainer`; nothing is random.

        Raises:
            DataError: no flagged input has an answer that enough trusted ones have.
        """
        both = compared(flagged, trusted)
        task = able(both.flagged.task, Activations)
        means = {
            name: means_of(rows, both.trusted.groups)
            for name, rows in pooled_activations(both.trusted, progress).items()
        }
        total: dict[str, Tensor] = {}
        some = both.flagged
        for places, own in passes(some.task, some.examples, some.answers, "patching", progress):
            assert own is not None
            seen: dict[str, Tensor] = {}
            changes = {name: _noting(seen, name) for name in task.points()}
            with torch.enable_grad():
                batch = some.examples.load(places)
                odds = task.respond_with({}, batch, changes, own).log_odds
                slopes = torch.autograd.grad(odds.sum(), list(seen.values()), allow_unused=True)
            groups = some.task.groups(own.cpu())
            for (name, activation), slope in zip(seen.items(), slopes, strict=True):
                if slope is None:
                    continue
                like = torch.stack([means[name][int(group)] for group in groups])
                away = activation.detach() - spread(like.to(activation), activation)
                effect = per_unit(away * slope).sum(dim=0).cpu()
                total[name] = total.get(name, torch.zeros_like(effect)) + effect
        units = {name: each.double() / len(some) for name, each in total.items()}
        facts = {f"all units at {name}": float(each.sum()) for name, each in units.items()}
        return Explanation(units, None, Health(both.problems), facts)


def _noting(seen: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    def note(activation: Tensor) -> Tensor:
        kept = activation if activation.requires_grad else activation.requires_grad_()
        seen[name] = kept
        return kept

    return note


def spread(rows: Tensor, like: Tensor) -> Tensor:
    """Rows `[batch, units]` in a form that goes with activations `[batch, ..., units, ...]`."""
    if like.ndim == 4:
        return rows[:, :, None, None]
    return rows.view(len(rows), *[1] * (like.ndim - 2), rows.shape[1])


def per_unit(effect: Tensor) -> Tensor:
    """Sums over positions `[batch, units]`; units are the second axis of maps, else the last."""
    if effect.ndim == 4:
        return effect.sum(dim=(2, 3))
    return effect.flatten(1, -2).sum(dim=1) if effect.ndim > 2 else effect
