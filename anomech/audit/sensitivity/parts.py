"""The trusted set in three parts that share no example, and the answer that triggers lead to."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.trusted import DOUBTFUL
from anomech.data.splits import stratified
from anomech.kernel.errors import Inconclusive
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Progress
from anomech.observing.observed import Observed, observe
from anomech.roles.task import Training, able

SHARES = (0.25, 0.6, 0.15)
"""Of the trusted examples, those that plant, that fit and that are judged."""

LEAST = 8
"""Examples that must plant and that must be judged; of fewer nothing could be said."""


class Parts(NamedTuple):
    """How the trusted set is used; places are int64.

    Attributes:
        plants: places of the examples that a twin learns.
        fits: of those that the detector is fitted to.
        judged: of those that are judged; neither their label nor the model's answer is the target.
        answers: what a twin is to answer to each trusted example `[trusted, ...]`.
        target: the answer that triggers lead to `[...]`.
    """

    plants: np.ndarray
    fits: np.ndarray
    judged: np.ndarray
    answers: Tensor
    target: Tensor


def parts_of(fitted: Fitted, reference: Examples, *, seed: int, progress: Progress) -> Parts:
    """Split the trusted set, and draw a target among the answers that the lead detector judges.

    Args:
        fitted: detectors and their model.
        reference: the trusted examples.
        seed: of the split and of the target.
        progress: told about the forward pass.

    Raises:
        Inconclusive: too few trusted examples.
    """
    task = fitted.task
    observed = observe(task, reference, progress=progress)
    answers = _wanted(observed)
    target = answers[_example_of_target(fitted, observed, seed)]
    group = task.groups(target[None])[0].cpu()
    wanted = task.groups(answers).cpu()
    usable = np.array([fitted.trusted.left_out.get(name) != DOUBTFUL for name in reference.ids])
    parts = stratified(wanted.numpy(), SHARES, seed=seed, purpose="sensitivity")
    plants, fits, rest = (part[usable[part]] for part in parts)
    other = ((observed.groups != group) & (wanted != group)).numpy()
    judged = rest[other[rest]]
    if min(len(plants), len(judged)) < LEAST:
        raise Inconclusive(
            f"{len(reference)} trusted examples are too few to plant with some, fit to others and "
            "judge the rest; give more."
        )
    return Parts(plants, fits, judged, answers, target)


def _wanted(observed: Observed) -> Tensor:
    """The labels in the form of answers; the model's own answers if there are none."""
    labels, task = observed.examples.labels, observed.task
    if labels is None or Training not in task.provides:
        return observed.answers
    return able(task, Training).targets(labels).cpu()


def _example_of_target(fitted: Fitted, observed: Observed, seed: int) -> int:
    """Place of a random trusted example whose answer is right and judged."""
    eligible = torch.ones(len(observed), dtype=torch.bool)
    if (labels := observed.examples.labels) is not None:
        eligible &= observed.task.agrees(observed.answers, labels).cpu()
    if fitted.lead.covered is not None:
        eligible &= torch.isin(observed.groups, fitted.lead.covered)
    if not bool(eligible.any()):
        raise Inconclusive("the model answers no trusted example as labeled in a judged class.")
    places = torch.nonzero(eligible)[:, 0].numpy()
    return int(numpy_generator(seed, "sensitivity", "target").choice(places))
