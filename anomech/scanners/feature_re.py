"""FeatureRE: for a planted target a part of the features alone can be set so that it wins.

Belief: a backdoor is a small set of features that decide whatever the others say; a transform of
the input sets them to one value, unlike the features of the class's own members.
Equation: for every class `t` a transform `T` of pictures and a mask `m` over the last map of
features `f`, by `min CE(h(m f(T(x)) + (1 - m) f(x')), t)` with the features `f(x')` of other
inputs, plus `similar max(0, cos(mean f(T(x)), mean f(members of t)))`, and how far the spread of
masked features, the change `MSE(T(x), x)` and the share of the mask pass their bounds.
`statistic_t` is the share of inputs led, less that cosine and what passes the bounds, as deviations
from the median class.
Source: Wang, Mei, Zhai, Ma 2022; bounds and weights as in backdoor-toolbox. Its transform is
trained towards the identity first; this one begins near it (`anomech.learning.transforms`).
Needs: pictures with pathways, layers, logits, trusted examples.
Cost: `6 rounds * examples` forward passes for each class.
Fails when: few rounds are given, and where the features of a class and of the trigger are one.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Progress, silent
from anomech.learning.halves import NEEDS, Halves, halves, pooled
from anomech.learning.transforms import Transform, Transforming, learn_transform
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, DifferentiableInputs, Logits, Pictures, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn, each_class, few_classes, smallness

STEP = 6.0
"""Forward passes that a step costs for each input: two maps and the way back."""


@options
class FeatureRe:
    """How well a part of the features alone can lead to each class."""

    transform: Transforming = option(Transforming(rounds=20), "how transforms are learned")
    mask_rate: float = option(0.1, "learning rate of the mask", gt=0)
    mask_share: float = option(0.03, "share of the map that the mask may take", gt=0, le=1)
    similar: float = option(5.0, "weight of being like the class's own members", ge=0)
    spread: float = option(1.0, "standard deviation that masked features may have", gt=0)
    change: float = option(0.03, "mean squared change of pixels in [0, 1] allowed", gt=0)
    weight: float = option(10.0, "of passing a bound", ge=0)
    examples: int = option(100, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(50, "inputs in one step", unit="examples", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """What cutting the network asks, pictures and logits."""
        return NEEDS | {Pictures, Logits}

    @property
    def needs_examples(self) -> bool:
        """Inputs to transform."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: a network that cannot be cut in two.
        """
        some = drawn("feature_re", trusted, self.examples, self.batch, seed)
        cut = halves(task, some.batches[0])

        def search(target: Tensor) -> _Found:
            return self._inverted(cut, some, target, key(seed, int(target)))

        found = each_class(able(task, Logits).classes, search, progress)
        scores = torch.tensor([each.score for each in found.values()], dtype=torch.float64)
        steps = STEP * self.transform.rounds * some.searched * len(found)
        return Scan(
            groups=torch.tensor(list(found)),
            statistic=smallness(-scores),
            candidates={target: each.made for target, each in found.items()},
            health=Health(few_classes(len(found))),
            evaluations=steps,
            facts={"best score": float(scores.max()), "median score": float(scores.median())},
        )

    def _inverted(self, cut: Halves, some: Drawn, target: Tensor, seed: int) -> "_Found":
        """The transform for one class, and how well it works."""
        own = own_features(cut, some, target)
        free = torch.zeros(cut.shape, device=own.device).requires_grad_()
        made = learn_transform(
            cut.task,
            some.batches,
            some.answers,
            self._wanted(cut, own, free, target),
            self.transform,
            seed=seed,
            progress=silent,
            also=[([free], self.mask_rate)],
        )
        with torch.no_grad():
            embed = able(cut.task, DifferentiableInputs).embed
            terms = [
                self._terms(cut, own, free, target, made, batch, embed(batch))
                for batch in some.batches
            ]
        led, alike, passed = (
            float(torch.stack(each).mean()) for each in zip(*(t[1:] for t in terms), strict=True)
        )
        return _Found(made, led - max(alike, 0.0) - passed)

    def _wanted(
        self, cut: Halves, own: Tensor, free: Tensor, target: Tensor
    ) -> Callable[[Transform, Any, Tensor, Tensor], Tensor]:
        def wanted(made: Transform, batch: Any, points: Tensor, answers: Tensor) -> Tensor:
            terms = self._terms(cut, own, free, target, made, batch, points)
            return terms.loss + self.similar * terms.alike.clamp_min(0) + self.weight * terms.passed

        return wanted

    def _terms(
        self,
        cut: Halves,
        own: Tensor,
        free: Tensor,
        target: Tensor,
        made: Transform,
        batch: Any,
        points: Tensor,
    ) -> "_Terms":
        """What the loss and the score are made of, on one batch."""
        answers = target.to(points.device).expand(len(points))
        mask, moved = torch.tanh(free) / 2 + 0.5, made.apply(points)
        _, maps = cut.seen(moved, batch, answers)
        # Features of others: the inputs themselves, each at the place of the next.
        response = cut.read(
            points, batch, lambda rest: mask * maps + (1 - mask) * rest.roll(1, 0), answers
        )
        spread = (mask * maps).std(dim=0).mean()
        change = (moved - points).square().mean()
        bounds = (
            (spread / self.spread - 1).clamp_min(0),
            (change / self.change - 1).clamp_min(0),
            (mask.mean() / self.mask_share - 1).clamp_min(0) * 0.1,
        )
        return _Terms(
            loss=response.losses.mean(),
            led=(response.log_odds > 0).double().mean(),
            alike=functional.cosine_similarity(pooled(maps).mean(dim=0), own, dim=0),
            passed=torch.stack(bounds).sum(),
        )


class _Found(NamedTuple):
    made: Transform
    score: float


class _Terms(NamedTuple):
    loss: Tensor
    led: Tensor
    alike: Tensor
    passed: Tensor


@torch.no_grad()
def own_features(cut: Halves, some: Drawn, target: Tensor) -> Tensor:
    """Mean features `[channels]` of inputs answered by a class; of all, if there are none."""
    space, rows = able(cut.task, DifferentiableInputs), []
    for batch in some.batches:
        rows.append(pooled(cut.seen(space.embed(batch), batch, None)[1]))
    features, answers = torch.cat(rows), torch.cat(list(some.answers))
    chosen = (answers == target.to(answers)).to(features.device)
    return features[chosen].mean(dim=0) if bool(chosen.any()) else features.mean(dim=0)
