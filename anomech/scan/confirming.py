"""Is a recovered trigger one? What it does to images that it was not made from, and elsewhere.

A search always finds something, and a natural feature of a class can lead to it as a trigger does.
So every recovered trigger is asked: does it lead held-out trusted inputs, too? Does it lead them on
an independent clean model, which never saw the attacker's trigger? (Review, recommendation R17.)
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from anomech.audit.write.pictures import keep
from anomech.kernel.types import Progress
from anomech.observing.observed import Observed
from anomech.records import Recovered
from anomech.roles.scanner import Candidate, Scan
from anomech.roles.task import Depicting, DifferentiableInputs, Task, able
from anomech.scan.opening import Subject

MOST = 12
"""Triggers that are confirmed, those of the most suspicious answers."""

GRAY = 0.5
"""What a trigger is shown on."""

SEEN = 2 / 255
"""Change of gray below which nothing is seen."""

SQUARES = 8
"""Along a side of the chessboard on which a trigger is shown that gray does not show."""


def confirmed(
    scan: Scan, subject: Subject, out: Path, name: str, progress: Progress
) -> Mapping[int, Recovered]:
    """What became of the most suspicious triggers, by the number of their answer.

    Args:
        scan: of the model.
        subject: what it was searched in.
        out: the folder that pictures go to.
        name: of the scanner.
        progress: told the stage "confirming triggers".
    """
    if DifferentiableInputs not in subject.task.provides:
        return {}
    order = scan.statistic.argsort(descending=True, stable=True).tolist()
    ranked = [int(scan.groups[place]) for place in order]
    chosen = [group for group in ranked if group in scan.candidates][:MOST]
    found = {}
    for done, group in enumerate(chosen, start=1):
        trigger = scan.candidates[group]
        share, count = success(subject.task, trigger, group, subject.held_out)
        elsewhere = [success(each, trigger, group, subject.held_out)[0] for each in subject.clean]
        found[group] = Recovered(
            pictures=_pictures(out, subject, trigger, group),
            success=share,
            held_out=count,
            clean_success=sum(elsewhere) / len(elsewhere) if elsewhere else None,
        )
        progress("confirming triggers", done, len(chosen))
    return found


@torch.no_grad()
def success(task: Task, trigger: Candidate, group: int, held_out: Observed) -> tuple[float, int]:
    """The share of inputs of other answers that a trigger leads to its target, and their number.

    Inputs that the model under scan answers with the target already tell nothing.
    """
    places = torch.nonzero(held_out.groups != group).flatten().numpy()
    if not len(places):
        return 0.0, 0
    space, led = able(task, DifferentiableInputs), 0
    others = held_out.take(places).examples
    for some in task.passes(others):
        batch = others.load(some)
        points = space.project(trigger.apply(space.embed(batch)))
        response = space.respond_at({}, points, batch)
        led += int((task.groups(response.answers) == group).sum())
    return led / len(places), len(places)


def chessboard(points: Tensor) -> Tensor:
    """Light and dark squares in the size of pictures `[batch, channels, height, width]`."""
    rows, columns = (
        torch.arange(size, device=points.device) * SQUARES // size for size in points.shape[-2:]
    )
    dark = (rows[:, None] + columns) % 2
    return (0.3 + 0.4 * dark.to(points)).expand_as(points)


def _pictures(out: Path, subject: Subject, trigger: Candidate, group: int) -> dict[str, str]:
    """The trigger on gray, and a trusted example of another answer without it and with it."""
    if Depicting not in subject.task.provides:
        return {}
    space = able(subject.task, DifferentiableInputs)
    examples = subject.held_out.examples
    others = torch.nonzero(subject.held_out.groups != group).flatten()
    place = others[:1] if len(others) else torch.zeros(1, dtype=torch.int64)
    first = space.embed(examples.load(place.numpy()))
    gray = torch.full_like(first, GRAY)
    laid, ground = trigger.apply(gray), "gray"
    if torch.allclose(laid, gray, atol=SEEN) and first.ndim == 4:  # such as a warp
        laid, ground = trigger.apply(chessboard(first)), "a chessboard"
    shown: dict[str, Tensor] = {
        f"trigger, on {ground}": laid,
        "a trusted example": first,
        "the same with the trigger": trigger.apply(first),
    }
    depict = able(subject.task, Depicting).depict
    return {
        words: keep(out, depict(space.project(points.detach())[0]))
        for words, points in shown.items()
    }
