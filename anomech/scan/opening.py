"""From a plan to what a scan works on: a model, trusted examples, clean models, bare weights."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from anomech.artefacts.checkpoints import read_weights
from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.data.subset import Subset, known
from anomech.kernel.config import suggested
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Progress, about
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.roles.source import Opened
from anomech.roles.task import Task
from anomech.scan.plan import ScanPlan

FEWEST = 10
"""Trusted examples below which no trigger can be searched and confirmed."""


@dataclass(frozen=True)
class Subject:
    """A model that triggers are searched in.

    Attributes:
        task: the model.
        trusted: what triggers are searched with.
        held_out: what they are confirmed on.
        model: fingerprint of the model's tensors.
        reference: hash of all trusted examples.
        title: of the report.
        notes: what opening the model found.
        clean: the same task with the weights of each clean model.
        classes: names of the answers, if the trusted set has any.
    """

    task: Task
    trusted: Observed
    held_out: Observed
    model: str
    reference: str
    title: str
    notes: tuple[str, ...]
    clean: tuple[Task, ...]
    classes: tuple[str, ...]


def open_subject(plan: ScanPlan, progress: Progress, workers: int = 0) -> Subject:
    """Read the model, the trusted set and the clean models.

    Raises:
        ModelError: the model or its weights cannot be used.
        DataError: the trusted examples cannot be read or are too few.
    """
    plan.task.check()
    opened = plan.model.open()
    task_options = suggested(plan.task, opened.suggested)
    reference = task_options.read(plan.reference, "trusted", progress=progress, workers=workers)
    if len(reference) < FEWEST:
        raise DataError(
            f"{len(reference)} trusted examples are too few to search triggers with; give "
            f"{FEWEST} at least, better some hundreds."
        )
    known(reference, "hashing trusted examples", progress, workers)
    task = prepared(task_options.wrap(opened, about(reference)), reference)
    first, second = _parts(plan, reference)
    return Subject(
        task=task,
        trusted=observe(task, first, progress=progress),
        held_out=observe(task, second, progress=progress),
        model=fingerprint(task),
        reference=combined(reference.digests()),
        title=opened.title,
        notes=opened.notes,
        clean=tuple(_like(task, opened, path) for path in plan.clean_models),
        classes=about(reference).get("classes", ()),
    )


def _parts(plan: ScanPlan, reference: Examples) -> tuple[Examples, Examples]:
    """What triggers are searched with, and what they are confirmed on."""
    order = numpy_generator(plan.seed, "scan held out").permutation(len(reference))
    count = min(max(2, round(plan.held_out * len(reference))), len(reference) - 2)
    return (
        Subset(reference, np.sort(order[count:])),
        Subset(reference, np.sort(order[:count])),
    )


def _like(task: Task, opened: Opened, path: str) -> Task:
    """The same task with the weights of another file."""
    state = read_weights(path).state
    own = task.state()
    missing = [name for name, each in own.items() if not _matches(state.get(name), each)]
    if missing:
        raise DataError(
            f"{Path(path).name} is not of the model's architecture ({len(missing)} tensors differ, "
            f"such as {missing[0]}); give clean models of the same one."
        )
    return task.with_({name: state[name] for name in own if name in state})


def _matches(found: Tensor | None, own: Tensor) -> bool:
    return found is not None and found.shape == own.shape
