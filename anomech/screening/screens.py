"""One screen on a training set, from its numbers to its record; a finished one is not run again."""

import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from anomech.audit.load.fingerprints import combined
from anomech.kernel.config import resolved
from anomech.kernel.errors import CapabilityError, RunError
from anomech.kernel.types import Progress
from anomech.records import LabelCount, ScreenResult, read_record, write_record
from anomech.roles.screen import Screen, Screened
from anomech.roles.task import missing
from anomech.screening.opening import Subject
from anomech.screening.plan import ScreeningPlan
from anomech.storage.code import code_of
from anomech.storage.files import read_regular, replaced

FOLDER = "screens"
MOST = 2**31
"""Bytes of the numbers of a screen that are read back at the most."""

Judged = tuple[ScreenResult, Screened | None]
"""What a screen said, and its numbers; None if it was left out."""


def screened(
    plan: ScreeningPlan, name: str, subject: Subject, out: Path, progress: Progress
) -> Judged:
    """What a screen says of the training set, or said before an interruption.

    Args:
        plan: of the screening.
        name: of the screen.
        subject: what is screened.
        out: the folder of the screening.
        progress: told about every stage.
    """
    screen, task = plan.method(name), subject.observed.task
    if lacking := missing(screen.needs, task):
        return _left_out(name, f"this {task.kind} does not give {' and '.join(lacking)}."), None
    if screen.needs_trusted and subject.trusted is None:
        return _left_out(name, "it compares with trusted examples; give --reference PATH."), None
    basis = _basis(plan, name, screen, subject)
    if (kept := _kept(out, name, basis)) is not None:
        return kept
    clock = time.monotonic()
    try:
        found = screen.screen(
            subject.observed, subject.labels, subject.trusted, seed=plan.seed, progress=progress
        )
    except CapabilityError as error:
        return _left_out(name, str(error)), None
    result = ScreenResult(
        name=name,
        status="done",
        suspects=None if found.suspects is None else int(found.suspects.sum()),
        discovery=found.discovery,
        labels=counted(found, subject),
        facts=dict(found.facts or {}),
        problems=tuple(found.health.problems),
        evaluations=found.evaluations,
        seconds=time.monotonic() - clock,
        basis=basis,
    )
    _keep(out, result, found)
    return result, found


def counted(found: Screened, subject: Subject) -> tuple[LabelCount, ...]:
    """Suspects of each label, those with the most first; none if the screen only ranks."""
    if found.suspects is None:
        return ()
    every = np.unique(subject.labels)
    words = subject.observed.task.label_words(every)
    rows = [
        LabelCount(
            label=word,
            examples=int((subject.labels == label).sum()),
            suspects=int(found.suspects[torch.from_numpy(subject.labels == label)].sum()),
        )
        for label, word in zip(every, words, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: -row.suspects))


def _left_out(name: str, why: str) -> ScreenResult:
    return ScreenResult(name=name, status="left out", why=why)


def _basis(plan: ScreeningPlan, name: str, screen: Screen, subject: Subject) -> str:
    trusted = () if subject.trusted is None else subject.trusted.examples.digests()
    options = repr(resolved(screen))
    return combined(
        [name, options, str(plan.seed), subject.model, subject.data, code_of(screen), *trusted]
    )


def _places(out: Path, name: str) -> tuple[Path, Path]:
    return out / FOLDER / f"{name}.json", out / FOLDER / f"{name}.safetensors"


def _keep(out: Path, result: ScreenResult, found: Screened) -> None:
    """The numbers first: a record says that they are whole."""
    record, numbers = _places(out, result.name)
    numbers.parent.mkdir(exist_ok=True)
    tensors: dict[str, Tensor] = {"suspicion": found.suspicion.contiguous()}
    if found.suspects is not None:
        tensors["suspects"] = found.suspects.contiguous()
    with replaced(numbers) as file:
        file.write(save(tensors))
    write_record(record, result)


def _kept(out: Path, name: str, basis: str) -> Judged | None:
    record, numbers = _places(out, name)
    if not (record.exists() and numbers.exists()):
        return None
    result = read_record(record, ScreenResult)
    if result.basis != basis:
        return None
    try:
        tensors = load(read_regular(numbers, MOST))
        return result, Screened(tensors["suspicion"], tensors.get("suspects"))
    except (KeyError, ValueError, OSError):
        raise RunError(
            f"{FOLDER}/{name}.safetensors is damaged; remove the folder {FOLDER} and run the same "
            "command again."
        ) from None
