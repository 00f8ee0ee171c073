"""AGPD: poison turns the gradient of its label's logit by the activations another way.

Belief: what in a layer speaks for a label is one direction for its honest examples, and another for
poison, so that the directions of a poisoned label are more dispersed.
Equation: `g_l(x)` is the gradient of the label's logit by the activations of layer `l`, a mean over
positions. Per label, with the trusted mean as reference and the example furthest from it as the far
direction: dispersion `rho = sqrt(mean (cos_ref - cos_far)^2)`; over labels
`z = (rho - median) / (1.4826 MAD)`. The layer with the largest `z` counts, and labels beyond
`threshold` are poisoned. `suspicion` is the closeness to the far direction,
`(1 - cos_ref) / ((1 - cos_far) + (1 - cos_ref))`, times the logistic function of `z`; the far
direction is the mean of those that lean to it, found again until they stay. Suspects are more than
half as close, in poisoned labels.
Source: Yuan, Zhang, Wei, Li, Wu 2025 (activation gradient based poisoned sample detection). Their
filter takes examples out step by step and stops where the histogram settles; the two directions
here are found by the same closeness, without steps.
Needs: activations between layers, logits, and labels as training saw them; a trusted example of
every label, or the median direction of the label stands in.
Cost: one forward and one backward pass.
Fails when: honest examples of a label are of two kinds, or poison speaks for its label alike.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.observing.activations import pooled
from anomech.observing.joining import in_place, passes
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Activations, Logits, able
from anomech.roles.tracer import Health
from anomech.screens._labels import by_label, check_labels, robust_z

FEWEST = 6
"""Examples of a label below which their directions say nothing."""

ROUNDS = 20
"""Of finding the far direction again, at the most."""


@options
class Agpd:
    """Dispersion and closeness of activation gradients, label by label."""

    threshold: float = option(7.39, "of z beyond which a label is poisoned (e squared)", gt=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Activations and logits."""
        return frozenset({Activations, Logits})

    @property
    def needs_trusted(self) -> bool:
        """Not at all, though some make it better."""
        return False

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`; nothing is random.

        Raises:
            DataError: not one label for each example.
        """
        check_labels(observed, labels)
        rows = directions(observed, torch.tensor(labels), progress)
        known = None if trusted is None else directions(trusted, trusted.groups, progress)
        best: dict[str, tuple[Tensor, list[tuple[Tensor, Tensor, str]]]] = {}
        problems = list[str]()
        for name, layer in rows.items():
            mentioned = problems if not best else list[str]()
            spread, sides = [], []
            for each in by_label(observed, labels, FEWEST, mentioned, progress):
                mine = layer[each.places]
                reference = mine.median(dim=0).values
                if known is not None and trusted is not None:
                    honest = known[name][trusted.groups == each.label]
                    reference = honest.mean(dim=0) if len(honest) else reference
                rho, close = dispersed(mine, reference)
                spread.append(rho)
                sides.append((each.places, close, each.word))
            best[name] = (robust_z(torch.tensor(spread).double()), sides)
        chosen = max(best, key=lambda name: float(best[name][0].max()))
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        facts = {}
        stand, sides = best[chosen]
        for size, (places, close, word) in zip(stand.tolist(), sides, strict=True):
            suspicion[places] = close * float(torch.sigmoid(torch.tensor(size)))
            if size > self.threshold:
                suspects[places] = close > 0.5
            facts[f"z of {word} at {chosen}"] = size
        return Screened(suspicion, suspects, Health(tuple(problems)), evaluations=3.0, facts=facts)


def directions(observed: ObservedExamples, labels: Tensor, progress: Progress) -> dict[str, Tensor]:
    """Unit gradient of each label's logit by the activations, `[examples, units]` by layer.

    Args:
        observed: the examples.
        labels: whose logits are followed, int64 `[examples]`.
        progress: told the stage "following labels".
    """
    task = able(observed.task, Activations)
    rows: dict[str, list[tuple[np.ndarray, Tensor]]] = {name: [] for name in task.points()}
    stage = "following labels"
    for places, own in passes(observed.task, observed.examples, labels, stage, progress):
        assert own is not None
        seen: dict[str, Tensor] = {}
        batch = observed.examples.load(places)
        changes = {name: _kept(seen, name) for name in rows}
        with torch.enable_grad():
            logits = task.respond_with({}, batch, changes, own).logits
            assert logits is not None, "the task gives logits"
            wanted = logits.gather(1, own[:, None].to(logits.device)).sum()
            slopes = torch.autograd.grad(wanted, list(seen.values()), allow_unused=True)
        for (name, activation), slope in zip(seen.items(), slopes, strict=True):
            slope = torch.zeros_like(activation) if slope is None else slope
            rows[name].append((places, functional.normalize(pooled(slope).double()).cpu()))
    return {name: in_place(parts, len(observed)) for name, parts in rows.items() if parts}


def dispersed(rows: Tensor, reference: Tensor) -> tuple[float, Tensor]:
    """Dispersion of unit rows `[n, d]`, and how close each is to the far direction `[n]`.

    Args:
        rows: unit gradients of one label.
        reference: of its honest examples `[d]`, of any length.
    """
    like = rows @ functional.normalize(reference, dim=0)
    far = rows[like.argmin()]
    spread = float((like - rows @ far).square().mean().sqrt())
    close = _closeness(like, rows @ far)
    for _ in range(ROUNDS):
        leaning = close > 0.5
        if not bool(leaning.any()):
            break
        far = functional.normalize(rows[leaning].mean(dim=0), dim=0)
        before, close = leaning, _closeness(like, rows @ far)
        if torch.equal(before, close > 0.5):
            break
    return spread, close


def _closeness(like: Tensor, far: Tensor) -> Tensor:
    away, apart = (1 - like).clamp_min(0), (1 - far).clamp_min(0)
    return away / (away + apart).clamp_min(1e-12)


def _kept(seen: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    """Notes an activation, through which gradients are to flow, and leaves it."""

    def keep(activation: Tensor) -> Tensor:
        kept = activation if activation.requires_grad else activation.requires_grad_()
        seen[name] = kept
        return kept

    return keep
