"""ABS: a few neurons that, driven alone, lift one class for almost every input.

Belief: a backdoor has hijacked neurons; setting one of them to large values elevates the target
whatever the input is, which honest neurons do not.
Equation: the activation of each channel of a layer is set to `k j max / n` (`j = 0..n`) for some
inputs; a class's elevation is the largest of its logits over the upper half of the sweep less the
smallest over the lower. A channel is a candidate if one class, not the input's own, is elevated
most for `agree` of the inputs; candidates are ranked by how far that class is ahead of the next.
For each, a small trigger is inverted that drives the channel, `- channel + 1e-4 others` added to
`anomech.learning.inversion` with a wall at `share` of the input; `statistic_t` is the best share of
held-out inputs that a trigger of that size leads to `t` (the paper's REASR).
Source: Liu, Lee, Tao, Ma, Aafer, Zhang 2019; constants as in TrojanZoo, where candidates seem to be
cut in the wrong order. The search here sees the loss of the answer, too.
Needs: differentiable inputs in [0, 1], activations, pathways, logits, trusted examples.
Cost: `channels * (levels + 1) * seeds` forward passes a layer for the sweep, and
`3 rounds * examples` for each candidate.
Fails when: a backdoor is spread over many neurons, or its trigger is large.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress, silent
from anomech.learning.inversion import (
    Inversion,
    Inverted,
    check_unit_box,
    invert,
    led_share,
    mask_axis,
)
from anomech.learning.pressures import Attempt, Pressure
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import (
    Ability,
    Activations,
    DifferentiableInputs,
    Logits,
    Pathways,
    Task,
    able,
)
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn

OTHERS = 1e-4
"""Weight of the other channels, against the driven one."""

WALL = 0.5
"""Weight of every mask entry above the size that a trigger may have."""

SLACK = 1.2
"""A trigger of up to so many times the size still counts."""


@options
class Abs:
    """Success of small triggers that drive the neurons which lift one class."""

    inversion: Inversion = option(Inversion(rounds=40, weight=1e-4), "how triggers are searched")
    layers: int = option(2, "last layers whose channels are swept", unit="layers", ge=1)
    levels: int = option(5, "steps of the sweep", unit="steps", ge=2)
    reach: float = option(3.0, "end of the sweep, in largest activations of a channel", gt=0)
    seeds: int = option(20, "inputs of the sweep", unit="examples", ge=2)
    agree: float = option(0.75, "share of the inputs that a channel must lift", gt=0, le=1)
    candidates: int = option(8, "channels that triggers are searched for", ge=1)
    share: float = option(0.06, "of the input that a trigger may cover", gt=0, le=1)
    examples: int = option(100, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(100, "inputs in one step", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Differentiable inputs, activations and their pathways, and logits."""
        return frozenset({DifferentiableInputs, Activations, Pathways, Logits})

    @property
    def needs_examples(self) -> bool:
        """Inputs of the sweep."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: inputs that are not bound to [0, 1].
        """
        some = drawn("abs", trusted, self.examples, self.batch, seed)
        points = able(task, DifferentiableInputs).embed(some.batches[0])
        check_unit_box(task, points)
        seeds = drawn("abs", trusted, self.seeds, self.seeds, seed).batches[0]
        # The last place gives the logits themselves, whose channels lift their own class.
        places = list(able(task, Activations).points())[-self.layers - 1 : -1]
        ranked: list[Channel] = []
        swept = 0.0
        for done, place in enumerate(places, start=1):
            found, passes = self._sweep(task, seeds, place)
            ranked, swept = [*ranked, *found], swept + passes
            progress("sweeping channels", done, len(places))
        ranked.sort(key=lambda each: -each.ahead)
        best: dict[int, Inverted] = {}
        chosen = ranked[: self.candidates]
        spent = 0.0
        for done, channel in enumerate(chosen, start=1):
            made = self._driven(task, some, channel, mask_axis(points))
            spent += made.evaluations
            if channel.target not in best or made.success > best[channel.target].success:
                best[channel.target] = made
            progress("driving channels", done, len(chosen))
        return self._scanned(task, best, swept + spent, len(ranked))

    def _scanned(
        self, task: Task, best: Mapping[int, Inverted], evaluations: float, count: int
    ) -> Scan:
        classes = able(task, Logits).classes
        statistic = torch.zeros(classes, dtype=torch.float64)
        for target, made in best.items():
            statistic[target] = made.success
        return Scan(
            groups=torch.arange(classes),
            statistic=statistic,
            candidates=dict(best),
            health=Health(),
            evaluations=evaluations,
            facts={"channels that lift one class": float(count)},
        )

    @torch.no_grad()
    def _sweep(self, task: Task, batch: Any, place: str) -> tuple[list["Channel"], float]:
        """Channels of a place that lift one class, and the forward passes it took."""
        through, points = able(task, Pathways), able(task, DifferentiableInputs).embed(batch)
        seen: list[Tensor] = []

        def look(value: Tensor) -> Tensor:
            seen.append(value)
            return value

        own = through.respond_through({}, points, batch, {place: look}).answers
        maps = seen[-1]
        axis = 1 if maps.ndim != 3 else 2
        tops = maps.transpose(0, axis).flatten(1).amax(dim=1).clamp_min(1e-6)
        found = []
        for number, top in enumerate(tops.tolist()):
            logits = []
            for level in range(self.levels + 1):
                value = self.reach * top * level / self.levels
                change = setting(number, value, axis)
                response = through.respond_through({}, points, batch, {place: change})
                assert response.logits is not None, "the task gives logits"
                logits.append(response.logits)
            lifted = lifts(torch.stack(logits), own, self.agree)
            if lifted is not None:
                found.append(Channel(place, number, axis, *lifted))
        return found, float((self.levels + 1) * len(tops) * len(points))

    def _driven(self, task: Task, some: Drawn, channel: "Channel", shared: int) -> Inverted:
        """The small trigger that drives a channel, with its success on held-out inputs."""
        space, target = able(task, DifferentiableInputs), torch.tensor(channel.target)
        made = invert(
            task,
            some.batches,
            target,
            self.inversion,
            shared=shared,
            progress=silent,
            pressures=(driving(channel, self.share),),
        )
        held_out = [batch for batch, _ in some.held_out]
        fits = made.norm <= SLACK * self.share * made.mask.numel()
        success = led_share(space, held_out, made.apply, target) if fits else 0.0
        return Inverted(made.mask, made.pattern, success, made.worked, made.evaluations)


class Channel(NamedTuple):
    """A channel that lifts one class.

    Attributes:
        place: its layer.
        number: which of the layer.
        axis: of the layer's activations that counts channels.
        target: the class that it lifts.
        ahead: how far that class is ahead of the next, in logits.
    """

    place: str
    number: int
    axis: int
    target: int
    ahead: float


def setting(number: int, value: float, axis: int) -> Callable[[Tensor], Tensor]:
    """A change of activations that sets one channel everywhere."""

    def change(maps: Tensor) -> Tensor:
        moved = maps.clone()
        moved.select(axis, number).fill_(value)
        return moved

    return change


def lifts(logits: Tensor, own: Tensor, agree: float) -> tuple[int, float] | None:
    """The class that a sweep lifts for enough inputs, and how far it is ahead; None if none is.

    Args:
        logits: `[levels, inputs, classes]`, the lowest level first.
        own: answers of the inputs `[inputs]`.
        agree: share of the inputs of other answers.
    """
    middle = (len(logits) + 1) // 2
    elevation = logits[middle:].amax(dim=0) - logits[:middle].amin(dim=0)
    target = int(elevation.mean(dim=0).argmax())
    others = own.to(logits.device) != target
    if not bool(others.any()):
        return None
    rows = elevation[others]
    if float((rows.argmax(dim=1) == target).double().mean()) < agree:
        return None
    top = rows.mean(dim=0).topk(2).values
    return target, float(top[0] - top[1])


def driving(channel: Channel, share: float) -> Pressure:
    """The pressure of a trigger that drives a channel and stays small."""

    def added(tried: Attempt) -> Tensor:
        maps = tried.activations[channel.place]
        driven = maps.select(channel.axis, channel.number).mean()
        rest = maps.sum(dim=channel.axis).mean() - driven
        wall = (tried.mask.sum() - share * tried.mask.numel()).clamp_min(0)
        return -driven + OTHERS * rest + WALL * wall

    return Pressure(added, (channel.place,))
