"""One scanner on one model, from the search to its record; a finished one is not run again."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.calibration.models import ModelChance, from_clean_models, from_own_classes
from anomech.kernel.errors import AnomechError, CapabilityError
from anomech.kernel.types import Progress
from anomech.observing.observed import observe
from anomech.records import Chance, Compared, Recovered, ScannerResult, read_record, write_record
from anomech.roles.scanner import Scan, Scanner, WeighingScanner
from anomech.roles.task import Task, missing
from anomech.scan.confirming import confirmed
from anomech.scan.opening import Subject
from anomech.scan.plan import ScanPlan
from anomech.storage.code import code_of

SHOWN = 200
"""Rows of a scanner that are kept; a network of thousands of layers or classes has more."""

State = Mapping[str, Tensor]


def search(
    plan: ScanPlan, name: str, subject: Subject, out: Path, progress: Progress
) -> ScannerResult:
    """What a scanner says of the model, or said in a scan that was interrupted.

    Args:
        plan: of the scan.
        name: of the scanner.
        subject: what it searches in.
        out: the folder of the scan.
        progress: told about every stage.
    """
    scanner: Scanner = plan.method(name)
    lacking = missing(scanner.needs, subject.task)
    if lacking:
        why = f"this {subject.task.kind} does not give {' and '.join(lacking)}."
        return ScannerResult(name=name, asked="triggers", status="left out", why=why)
    parts = (subject.model, subject.reference, *map(_key, subject.clean))
    basis = _basis(plan, name, scanner, parts)
    if (kept := _kept(out, name, basis)) is not None:
        return kept
    clock = time.monotonic()
    try:
        scan = scanner.scan(subject.task, subject.trusted, seed=plan.seed, progress=progress)
        clean = [_of_clean(scanner, each, subject, plan, progress) for each in subject.clean]
    except CapabilityError as error:
        return ScannerResult(name=name, asked="triggers", status="left out", why=str(error))
    triggers = confirmed(scan, subject, out, name, progress)
    result = recorded(name, "triggers", scan, clean, words_of(subject.task, scan), triggers)
    return _saved(out, result, basis, time.monotonic() - clock)


def weigh(
    plan: ScanPlan, name: str, state: State, base: State | None, model: str, out: Path,
    progress: Progress,
) -> ScannerResult:  # fmt: skip
    """What a scanner says of weights alone.

    Args:
        plan: of the scan.
        name: of the scanner.
        state: the weights.
        base: those they were tuned from, if they are known.
        model: digest of both.
        out: the folder of the scan.
        progress: told about every stage.
    """
    scanner = plan.method(name)
    basis = _basis(plan, name, scanner, (model,))
    if (kept := _kept(out, name, basis)) is not None:
        return kept
    clock = time.monotonic()
    try:
        assert isinstance(scanner, WeighingScanner)
        scan = scanner.weigh(state, base, progress=progress)
    except CapabilityError as error:
        return ScannerResult(name=name, asked="weights", status="left out", why=str(error))
    names = [str(each) for each in (scan.names or scan.groups.tolist())]
    result = recorded(name, "weights", scan, [], names, {})
    return _saved(out, result, basis, time.monotonic() - clock)


def recorded(
    name: str,
    asked: Any,
    scan: Scan,
    clean: list[Scan],
    names: list[str],
    triggers: Mapping[int, Recovered],
) -> ScannerResult:
    """The record of a scan; the most suspicious first."""
    order = scan.statistic.argsort(descending=True, stable=True)[:SHOWN].tolist()
    groups = scan.groups.tolist()
    return ScannerResult(
        name=name,
        asked=asked,
        status="done",
        unit=scan.unit,
        compared=tuple(
            Compared(
                name=names[place],
                statistic=float(scan.statistic[place]),
                group=None if scan.names is not None else int(groups[place]),
                trigger=triggers.get(int(groups[place])),
            )
            for place in order
        ),
        chance=_chance(scan, clean),
        problems=tuple(scan.health.problems),
        facts=dict(scan.facts or {}),
        evaluations=scan.evaluations,
    )


def words_of(task: Task, scan: Scan) -> list[str]:
    """Names of what a scan of a task compared."""
    if scan.names is not None:
        return [str(each) for each in scan.names]
    return task.group_words(scan.groups)


def _chance(scan: Scan, clean: list[Scan]) -> Chance | None:
    """The p-value of a scan; None if nothing gives one, or the scan itself is unsound."""
    if scan.health.problems or not len(scan.statistic):
        return None
    found: ModelChance | None
    if clean:
        found = from_clean_models(scan.statistic, [each.statistic for each in clean])
    else:
        found = from_own_classes(scan.statistic)
    return None if found is None else Chance(**found._asdict())


def _of_clean(
    scanner: Scanner, task: Task, subject: Subject, plan: ScanPlan, progress: Progress
) -> Scan:
    trusted = observe(task, subject.trusted.examples, progress=progress)
    return scanner.scan(task, trusted, seed=plan.seed, progress=progress)


def _key(task: Task) -> str:
    return fingerprint(task)


def _basis(plan: ScanPlan, name: str, scanner: object, parts: tuple[str, ...]) -> str:
    """Hash of all that a scanner's result rests on."""
    options = f"{sorted(plan.scanners[name].items())} {plan.seed} {plan.held_out}"
    return combined((code_of(scanner), options, *parts))


def _kept(out: Path, name: str, basis: str) -> ScannerResult | None:
    """The result that the folder holds, if it still holds."""
    try:
        kept = read_record(out / "scanners" / f"{name}.json", ScannerResult)
    except AnomechError:
        return None
    return kept if kept.basis == basis else None


def _saved(out: Path, result: ScannerResult, basis: str, seconds: float) -> ScannerResult:
    done = result.model_copy(update={"basis": basis, "seconds": seconds})
    write_record(out / "scanners" / f"{result.name}.json", done)
    return done
