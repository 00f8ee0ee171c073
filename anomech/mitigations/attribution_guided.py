"""Attribution-guided repair: flagged responses say what goes, anchors what stays.

Belief: flagged inputs of one mechanism move the parameters alike, in a way that trusted examples
do not; what they share is the mechanism, whichever of them are false flags. Where few units
carry it, these can go; where many do, its answers are unlearned along with everything trusted
being kept.
Equation: the direction `u` is the first that residuals `r` of flagged responses share, with `r`
what anchors leave unexplained; input `i` weighs `w_i = max(0, cos(r_i, u))`. By `w`, the effect
of silencing a unit on the flagged answers, less that on trusted ones, gives the concentration:
the part of all effect that the top hundredth of units has. From `localized` on, units go in the
order of effect while trusted accuracy holds, until no member gets its flagged answer. Then
descent of `L(trusted) + strength sum w_i -log(1 - p_i) / sum w_i + keeping KL(before, now)`, with
`p_i` the probability of the flagged answer, in which inputs whose log-odds are below `-margin` no
longer count. The last term is over mixtures of trusted examples, which alone do not say what else
the model was able to do; it weighs as much as two examples an answer. Of fewer also flagged inputs
are mixed, then of all answers but those that members were flagged with.
Steps are as long as the accuracy of trusted examples kept aside bears.
Source: own; bounded gradients after Brock et al. 2021; keeping what a model says after Li, Hoiem
2016 (learning without forgetting).
Needs: flagged inputs, a tracer's abilities, units, training statistics, trusted examples with
labels; logits and variations of inputs, if what it says is to be kept.
Cost: a trace of every example, `6 epochs` forward passes for each trusted example, and 128 a step,
for each bound that is tried.
Fails when: flagged inputs show several mechanisms at once (repair one after the other), or so
few that what they share is chance; an answer that is forgotten on them may come back by another
trigger.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.mechanism_direction import membership, residuals
from anomech.kernel import plugins
from anomech.kernel.config import option, options
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.descent import (
    BACKWARD,
    Descended,
    Lesson,
    Lost,
    Objective,
    Relearning,
    descend,
    plainly,
)
from anomech.learning.localizing import ablation_effects, concentration
from anomech.learning.masks import holding, masked
from anomech.mitigations._keeping import COUNT, Kept, kept
from anomech.mitigations._pruning import units_of
from anomech.mitigations._pushing import BOUNDS, hardest
from anomech.mitigations._trusted import TUNING, Trusted, parted, suspected
from anomech.mitigations._unlearning import remaining, strongest, unlikelihood
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Prunable, Task, Training, Units

PART = 0.3
"""Cosine with the direction from which on a flagged input is a member."""

FEWEST = 3
"""Members that are kept in any case, the most typical ones."""


@options
class AttributionGuided:
    """The mechanism that flagged inputs share is pruned or unlearned."""

    tracer: Any = plugins.chosen("tracer", "gradient", "how examples respond")
    ridge: float = option(0.1, "of the trusted span", gt=0)
    localized: float = option(
        0.5, "part of the effect in the top hundredth of units from which on these go", ge=0, le=1
    )
    most: float = option(0.05, "share of the units that may go", gt=0, le=1)
    tolerance: float = option(0.02, "trusted accuracy that pruning may cost", ge=0, le=0.5)
    strength: float = option(0.3, "weight of the flagged answers", gt=0)
    keeping: float = option(
        1.0, "weight of what else the model says, where inputs can be mixed", ge=0
    )
    margin: float = option(
        3.0, "log-odds, negated, from which on an answer counts as gone", unit="nats", ge=0
    )
    relearning: Relearning = option(
        replace(TUNING, statistics="frozen"), "how the model unlearns and keeps"
    )
    bounds: tuple[float, ...] = option(
        BOUNDS,
        "gradients at most, as shares of a weight's length; the first that accuracy bears is taken",
    )
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the tracer, units and training statistics."""
        return frozenset({*self.tracer.needs, Prunable, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`.

        Raises:
            DataError: no suspects, no labels, or too few examples.
            CapabilityError: nothing to prune.
        """
        parts = parted(task, trusted, self.kept, "attribution_guided", seed)
        flagged = suspected(suspects, "attribution_guided")
        source = trusted.source(self.tracer, seed=seed, progress=progress)
        rows, anchors = (each.traced(source, silent).values for each in (flagged, trusted))
        _, weights = membership(residuals(rows, anchors, self.ridge))
        members = flagged.take(chosen(weights))
        units = units_of(task, trusted.examples, "attribution_guided")
        effects = _effects(task, members, trusted, units)
        share = concentration(effects)
        facts = {"concentration": share, "members": float(len(members))}
        pruned, count, passes = self._pruned(parts, members, units, effects, share)
        facts["units pruned"] = float(count)
        rest = kept(task, trusted, flagged, weights >= PART) if self.keeping else None
        objective = Unlearning(
            parts.lesson(self.relearning.statistics),
            flagged,
            weights,
            self.strength,
            self.margin,
            rest,
            self.keeping,
        )
        pushed = hardest(
            parts,
            self.bounds,
            lambda bound: self._unlearned(
                parts, objective, holding(units, pruned), pruned, bound, seed, progress
            ),
            pruned,
        )
        facts["bound of a step"] = pushed.bound
        facts["flagged answers left"] = remaining(task, members, pushed.overlay)
        facts["kinds of inputs mixed"] = float(0 if rest is None else len(rest.pools))
        passes += pushed.evaluations + source.evaluations * (len(trusted) + len(flagged))
        return parts.repair(pushed.overlay, passes, (), facts, pushed.settled, pushed.harder)

    def _pruned(
        self,
        parts: Trusted,
        members: ObservedExamples,
        units: Sequence[Units],
        effects: Mapping[str, Tensor],
        share: float,
    ) -> tuple[dict[str, Tensor], int, float]:
        """The most effective units silenced, if few carry the mechanism; how many, and the cost."""
        if share < self.localized:
            return {}, 0, 0.0
        every = torch.cat(list(effects.values()))
        order = every.argsort(descending=True, stable=True)
        sizes, state = [len(each) for each in effects.values()], parts.task.state()

        def without(count: int) -> dict[str, Tensor]:
            keep = torch.ones(len(every))
            keep[order[:count]] = 0
            return masked(state, units, dict(zip(effects, keep.split(sizes), strict=True)))

        most = max(1, round(self.most * len(every)))
        found = strongest(
            [(float(count), lambda count=count: without(count)) for count in range(1, most + 1)],  # type: ignore[misc]
            parts.accuracy,
            lambda overlay: remaining(parts.task, members, overlay),
            lost=self.tolerance,
            cost=len(parts.labels) + len(members),
        )
        return dict(found.overlay), int(found.strength), found.passes

    def _unlearned(
        self,
        parts: Trusted,
        objective: "Unlearning",
        into: Callable[[str, Tensor], Tensor],
        pruned: Overlay,
        bound: float,
        seed: int,
        progress: Progress,
    ) -> Descended:
        """Weights that have unlearned and kept, by steps within a bound."""
        task = parts.task
        start = {name: pruned.get(name, each) for name, each in task.watched.items()}
        found = descend(
            start,
            parts.count,
            plainly(objective.drawn(key(seed, "unlearning"))),
            self.relearning,
            seed=seed,
            progress=progress,
            into=into,
            clip=bound,
        )
        steps = len(found.losses) * math.ceil(parts.count / self.relearning.batch)
        mixed = 0 if objective.rest is None else (1 + BACKWARD) * COUNT * steps
        return found._replace(evaluations=2 * found.evaluations + mixed)


@dataclass(frozen=True)
class Unlearning:
    """The trusted loss, and the unlikelihood of flagged answers by their weights.

    Attributes:
        keep: trusted examples and their labels.
        flagged: inputs whose answers go.
        weights: of these inputs `[flagged]`.
        strength: of what goes against what stays.
        margin: log-odds, negated, from which on an answer is gone.
        rest: what else the model says; None if that is not kept.
        keeping: weight of it.
    """

    keep: Lesson
    flagged: ObservedExamples
    weights: Tensor
    strength: float
    margin: float
    rest: Kept | None = None
    keeping: float = 0.0

    def drawn(self, seed: int) -> Objective:
        """The objective; each step draws as many flagged inputs as trusted ones."""
        task, count = self.keep.task, len(self.flagged)

        def objective(overlay: Overlay, places: np.ndarray) -> Lost:
            held = self.keep(overlay, places)
            address = key(seed, *places.tolist())
            rng = numpy_generator(address)
            some = rng.permutation(count)[: max(2, len(places))]
            index = torch.from_numpy(some)
            batch = self.flagged.examples.load(some)
            odds = task.respond(overlay, batch, self.flagged.answers[index]).log_odds
            weight = self.weights[index].to(odds) * (odds.detach() > -self.margin)
            gone = (weight * unlikelihood(odds)).sum() / self.weights[index].sum().clamp_min(1e-6)
            lost = held.loss + self.strength * gone
            if self.rest is not None:
                lost = lost + self.keeping * self.rest.apart(overlay, address)
            return Lost(lost, held.buffers)

        return objective


def chosen(weights: Tensor) -> np.ndarray:
    """Places of the members: those that point along the direction, and the first few at least."""
    order = weights.argsort(descending=True, stable=True)
    count = max(min(FEWEST, len(weights)), int((weights >= PART).sum()))
    return np.sort(order[:count].numpy())


def _effects(
    task: Task, members: ObservedExamples, trusted: ObservedExamples, units: Sequence[Units]
) -> dict[str, Tensor]:
    """Effects of units on members' answers, less those on trusted examples' own."""
    ours = ablation_effects(task, members.examples, members.answers, units)
    theirs = ablation_effects(task, trusted.examples, trusted.answers, units)
    return {place: (each - theirs[place].clamp_min(0)) for place, each in ours.items()}
