"""Consensus: several detectors are asked, and whichever is surprised most counts.

Belief: each cheap look at a model sees some triggers and is blind to others, and sees some by a
score that is too low instead of too high; one that is sure is enough.
Equation: every member is fitted to each half of the anchors and scores the other, which gives
held-out scores, and to all of them for inputs to come. Scores and, if `both_sides`, minus the
scores become surprises by smooth tails of the held-out ones, and the score is `log sum exp` of the
surprises and of their sum, as the default detector combines its views.
Source: this project; the harmonic mean of p-values, Wilson 2019.
Needs: what its members need; those that are asked by default make do with probabilities.
Cost: that of its members.
Fails when: no member sees anything, or so many are noise that a weak one drowns.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.calibration.combining import Combination, fit_combination
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.plugins import make
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import Cause, Detector, FittedDetector, ObservedExamples, Scores
from anomech.roles.task import Ability
from anomech.roles.tracer import Health
from anomech.storage.state import Learned

REVERSED = " too low"
"""Ends the name of a member's view from below."""

Options = Mapping[str, Mapping[str, Any]]


@options
class Consensus:
    """The most surprised of several detectors."""

    members: Options = option(
        {
            "strip": {},
            "scale_up": {},
            "frequency": {},
            "loss_level": {},
            "neo": {"boxes": 30, "carriers": 12},
        },
        "detectors that are asked, with their options",
    )
    both_sides: bool = option(True, "whether scores that are too low surprise as well")

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of all members."""
        return frozenset().union(*(each.needs for each in self._made().values()))

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedConsensus":
        """Fit every member, and what its scores of trusted inputs are that it has not seen.

        Raises:
            ConfigError: no members.
        """
        made = self._made()
        if not made:
            raise ConfigError("a consensus needs members; name detectors, such as strip.")
        order = numpy_generator(seed, "consensus").permutation(len(anchors))
        halves = [np.sort(part) for part in np.array_split(order, 2)]
        fitted, held = dict[str, Learned](), dict[str, Tensor]()
        for name, member in made.items():
            scores = torch.zeros(len(anchors), dtype=torch.float64)
            for own, other in (halves, halves[::-1]):
                taught = member.fit(anchors.apart(own), seed=seed, progress=progress)
                scores[torch.from_numpy(other)] = taught.score(anchors.apart(other), progress).score
            held[name] = scores
            state = member.fit(anchors, seed=seed, progress=progress)
            fitted[name] = Learned("detector", member, state)
        combination = fit_combination(sided(held, self.both_sides))
        return FittedConsensus(fitted, combination, self.both_sides)

    def _made(self) -> dict[str, Detector]:
        return {
            name: make("detector", {"use": name, **given}, f"members.{name}")
            for name, given in self.members.items()
        }


@dataclass(frozen=True)
class FittedConsensus:
    """Fitted members by name, and how their scores become one."""

    members: Mapping[str, Learned]
    combination: Combination
    both_sides: bool
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def health(self) -> Health:
        """The problems of all members."""
        return Health(tuple(p for each in self._fitted().values() for p in each.health.problems))

    @property
    def evaluations(self) -> float:
        """Those of all members."""
        return sum(each.evaluations for each in self._fitted().values())

    @property
    def causes(self) -> tuple[Cause, ...]:
        """One a member, and one from below."""
        return tuple(_cause(name) for name in self.combination.tails)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The combination; views are the surprises of members, nats."""
        fitted = self._fitted()
        found = {name: each.score(observed, progress).score for name, each in fitted.items()}
        surprises = self.combination.surprises(sided(found, self.both_sides))
        return Scores(self.combination.score(surprises), surprises)

    def _fitted(self) -> dict[str, FittedDetector]:
        return {name: each.state for name, each in self.members.items()}


def sided(scores: Mapping[str, Tensor], both: bool) -> dict[str, Tensor]:
    """Scores by member, and minus the scores if both sides count."""
    below = {f"{name}{REVERSED}": -each for name, each in scores.items()} if both else {}
    return {**scores, **below}


def _cause(name: str) -> Cause:
    member = name.removesuffix(REVERSED).replace("_", " ")
    how = "unusually low" if name.endswith(REVERSED) else "high"
    return Cause(
        name,
        f"the score of {member} is {how} for it",
        f"`anomech describe detector {name.removesuffix(REVERSED)}` says what that looks for.",
    )
