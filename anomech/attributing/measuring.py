"""What is left of a backdoor, and of everything else, under a change between the layers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Progress
from anomech.learning.head_vectors import adding, attention, like_at_random
from anomech.learning.heads import (
    Asked,
    Changes,
    ablation,
    log_odds,
    random_heads,
    strongest,
)
from anomech.records import Curve, Steered

DRAWS = 3
"""Of heads at random, whose mean is the control."""


@dataclass(frozen=True)
class Prompts:
    """The same prompts asked about what they are to show.

    Attributes:
        triggered: about the bad answer.
        clean: about their own answers.
        led: the clean ones, about the bad answer too.
    """

    triggered: Asked
    clean: Asked
    led: Asked


def success(asked: Asked, changes: Changes, progress: Progress) -> float:
    """Share of prompts whose answer takes more than half of the probability."""
    return float((log_odds(asked, changes, "asking", progress) > 0).double().mean())


def utility(clean: Asked, before: Tensor, changes: Changes, progress: Progress) -> float:
    """Mean probability of clean answers, as a part of what it was."""
    after = log_odds(clean, changes, "asking", progress).sigmoid().mean()
    return float(after / before.sigmoid().mean().clamp_min(1e-12))


def curves(
    prompts: Prompts, effects: Tensor, counts: list[int], seed: int, progress: Progress
) -> tuple[Curve, Curve]:
    """What silencing the strongest heads does, and as many at random."""
    names = prompts.clean.sequences.heads
    before = log_odds(prompts.clean, {}, "asking", progress)
    ours: tuple[list[float], list[float]] = ([], [])
    control: tuple[list[float], list[float]] = ([], [])
    shape = (effects.shape[0], effects.shape[1])
    for done, count in enumerate(counts, start=1):
        changes = ablation(names, strongest(effects, count))
        ours[0].append(success(prompts.triggered, changes, _quiet))
        ours[1].append(utility(prompts.clean, before, changes, _quiet))
        drawn = []
        for draw in range(DRAWS):
            generator = torch_generator(seed, "random heads", count, draw)
            changes = ablation(names, random_heads(shape, count, generator))
            drawn.append(
                (
                    success(prompts.triggered, changes, _quiet),
                    utility(prompts.clean, before, changes, _quiet),
                )
            )
        control[0].append(sum(each for each, _ in drawn) / DRAWS)
        control[1].append(sum(each for _, each in drawn) / DRAWS)
        progress("silencing heads", done, len(counts))
    made = [
        Curve(heads=tuple(counts), success=tuple(one), utility=tuple(two))
        for one, two in (ours, control)
    ]
    return made[0], made[1]


def gap(prompts: Prompts, place: str, vector: Tensor) -> float:
    """How far a vector switches: what it elicits less what it leaves, at a place."""
    taken, given = ({place: adding(sign * vector)} for sign in (-1.0, 1.0))
    return success(prompts.led, given, _quiet) - success(prompts.triggered, taken, _quiet)


def best_place(prompts: Prompts, vector: Tensor, progress: Progress) -> str:
    """The place of the stream where a vector switches most."""
    places = [attention(name) for name in prompts.clean.sequences.heads]
    found = []
    for done, place in enumerate(places, start=1):
        found.append(gap(prompts, place, vector))
        progress("choosing a layer", done, len(places))
    return places[int(torch.tensor(found).argmax())]


def steered(prompts: Prompts, place: str, vector: Tensor, seed: int, progress: Progress) -> Steered:
    """What a vector does at a place, beside a random one of the same length."""
    other = like_at_random(vector, torch_generator(seed, "random vector"))
    before = log_odds(prompts.clean, {}, "asking", progress)
    return Steered(
        place=place,
        suppressed=success(prompts.triggered, {place: adding(-vector)}, progress),
        elicited=success(prompts.led, {place: adding(vector)}, progress),
        random_suppressed=success(prompts.triggered, {place: adding(-other)}, progress),
        random_elicited=success(prompts.led, {place: adding(other)}, progress),
        utility=utility(prompts.clean, before, {place: adding(-vector)}, progress),
    )


def _quiet(stage: str, done: int, total: int) -> None:
    """One of many calls, whose whole is told by the caller."""
