"""Whether triggers still work: one recovered from the old model, and new ones in the repaired.

The old trigger is no proof: a model in which it does nothing may obey another (arXiv
2603.09772). So new ones are searched in the repaired model, from scratch and from where the
flagged inputs differ from trusted ones, with the same search for other answers beside it: what
those need is natural.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.errors import AnomechError
from anomech.kernel.types import silent
from anomech.learning.inversion import Inversion, Inverted, check_unit_box, invert
from anomech.learning.universal import Universal, universal
from anomech.observing.observed import Observed
from anomech.records import Check
from anomech.repair.proof.context import Context
from anomech.roles.task import DifferentiableInputs, Logits, Task, able

OLD = "Does the trigger that was recovered from the old model still work?"
NEW = "Does a new search find another trigger in the repaired model?"
MOST_INPUTS = 200
"""Trusted inputs of a search at the most."""
SMALL = 0.5
"""Part of the size of other answers' triggers below which a working one is none of the natural."""
ABOVE = 0.2
"""Share of inputs by which a change must lead more than to other answers to be a finding."""


@dataclass(frozen=True)
class _Ground:
    """Trusted inputs of other answers, to be led to the target."""

    batch: Any
    points: Tensor
    count: int


def checks(context: Context) -> list[Check]:
    """The old trigger and new ones; not done where triggers mean nothing."""
    subject = context.subject
    why = _refusal(subject.task)
    if subject.target is None:
        why = "no audit flagged inputs, so that no answer is suspected; give one with --suspects."
    if why:
        said = why[0].upper() + why[1:]
        return [
            Check(name=name, title=title, outcome="not done", said=said)
            for name, title in (("old trigger", OLD), ("new trigger", NEW))
        ]
    assert subject.target is not None
    search = _ground(subject.task, subject.trusted.repair, subject.target)
    prove = _ground(subject.task, subject.trusted.prove, subject.target)
    found = _inverted(subject.task, search, subject.target, context.asked.inversion)
    context.progress("searching triggers", 1, 3)
    old = _old(context, found, prove)
    new = _new(context, found, search, prove)
    context.progress("searching triggers", 3, 3)
    return [old, new]


def _old(context: Context, trigger: Inverted, prove: _Ground) -> Check:
    target = context.subject.target
    assert target is not None
    before = _success(context.subject.task, trigger.apply(prove.points), prove, target)
    after = _success(context.repaired, trigger.apply(prove.points), prove, target)
    works = after <= context.asked.trigger
    return Check(
        name="old trigger",
        title=OLD,
        outcome="passed" if works else "failed",
        said=(
            f"A trigger recovered from the old model leads {before:.1%} of {prove.count} trusted "
            f"inputs there and {after:.1%} now to '{context.target_words}'."
        ),
        numbers={"before": before, "after": after, "size": trigger.norm},
    )


def _new(context: Context, old: Inverted, search: _Ground, prove: _Ground) -> Check:
    """From scratch, and from the difference between flagged and trusted inputs."""
    subject, task = context.subject, context.repaired
    target = subject.target
    assert target is not None
    others = [int(each) for each in subject.trusted.repair.groups.unique() if int(each) != target]
    others = others[: context.asked.controls]
    recipe = context.asked.inversion
    fresh = _inverted(task, search, target, recipe)
    grounds = [_ground(task, subject.trusted.repair, other) for other in others]
    controls = [
        _inverted(task, ground, other, recipe)
        for ground, other in zip(grounds, others, strict=True)
    ]
    context.progress("searching triggers", 2, 3)
    usual = float(np.median([_size(each) for each in controls])) if controls else float("inf")
    patch = fresh.worked and _size(fresh) < SMALL * usual
    led, natural = _along(context, search, prove, target, others)
    spread = led > natural + ABOVE
    return Check(
        name="new trigger",
        title=NEW,
        outcome="failed" if patch or spread else "passed",
        said=_said(patch, spread, led, natural),
        numbers={
            "size of a new trigger": _size(fresh),
            "size in the old model": _size(old),
            "usual size for other answers": usual if np.isfinite(usual) else 0.0,
            "led by a change along the mechanism": led,
            "led to another answer by such a change": natural,
        },
    )


def _said(patch: bool, spread: bool, led: float, natural: float) -> str:
    along = (
        f"a small common change, searched from where flagged inputs differ, leads {led:.1%} of "
        f"trusted inputs to the flagged answer and at most {natural:.1%} to others"
    )
    if patch:
        return f"A trigger less than half as large as those of other answers works; {along}."
    if spread:
        return f"Searched from scratch, no trigger is unusually small; but {along}."
    return f"Searched from scratch, no trigger is unusually small; {along}."


def _along(
    context: Context, search: _Ground, prove: _Ground, target: int, others: list[int]
) -> tuple[float, float]:
    """Success of a small common change towards the target, and the highest towards others."""
    subject, task = context.subject, context.repaired
    space, recipe = able(task, DifferentiableInputs), Universal()
    start = torch.zeros_like(search.points[:1])
    if subject.flagged is not None:
        places = np.arange(len(subject.flagged.repair))
        theirs = space.embed(subject.flagged.repair.examples.load(places)).detach()
        start = theirs.mean(0, keepdim=True) - search.points.mean(0, keepdim=True)
    change = universal(task, search.batch, search.points, target, recipe, start=start)
    led = _success(task, space.project(prove.points + change), prove, target)
    natural = 0.0
    for other in others:
        ground = _ground(task, subject.trusted.repair, other)
        test = _ground(task, subject.trusted.prove, other)
        still = torch.zeros_like(start)
        moved = universal(task, ground.batch, ground.points, other, recipe, start=still)
        natural = max(natural, _success(task, space.project(test.points + moved), test, other))
    return led, natural


def _ground(task: Task, observed: Observed, target: int) -> _Ground:
    others = np.flatnonzero((observed.groups.cpu() != target).numpy())[:MOST_INPUTS]
    batch = observed.examples.load(others)
    points = able(task, DifferentiableInputs).embed(batch).detach()
    return _Ground(batch, points, len(others))


def _inverted(task: Task, ground: _Ground, target: int, recipe: Inversion) -> Inverted:
    shared = 0 if ground.points.ndim == 4 else ground.points.ndim - 2
    wanted = torch.tensor(target)
    return invert(task, [ground.batch], wanted, recipe, shared=shared, progress=silent)


def _size(found: Inverted) -> float:
    return found.norm if found.worked else float(found.mask.numel())


@torch.no_grad()
def _success(task: Task, points: Tensor, ground: _Ground, target: int) -> float:
    response = able(task, DifferentiableInputs).respond_at({}, points, ground.batch)
    return float((task.groups(response.answers).cpu() == target).double().mean())


def _refusal(task: Task) -> str:
    if not {DifferentiableInputs, Logits} <= task.provides:
        return f"this {task.kind} gives no differentiable inputs and logits to search triggers by."
    try:
        check_unit_box(task, torch.zeros(1, 1, 1, 1))
    except AnomechError as error:
        return str(error)
    return ""
