"""One scanner on one model, from the search to its record; a finished one is not run again."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.calibration.models import (
    ENOUGH,
    ModelChance,
    from_clean_models,
    from_clean_parts,
    from_known,
    from_own_classes,
)
from anomech.calibration.nulls import Null, shipped
from anomech.kernel.errors import AnomechError, CapabilityError
from anomech.kernel.types import Progress
from anomech.learning.families import family
from anomech.observing.observed import observe
from anomech.records import (
    Asked,
    Chance,
    Compared,
    Recovered,
    ScannerResult,
    read_record,
    write_record,
)
from anomech.roles.scanner import Scan, Scanner, WeighingScanner
from anomech.roles.task import DifferentiableInputs, Layers, Task, able, missing
from anomech.scan.attributing import witness
from anomech.scan.confirming import confirmed
from anomech.scan.opening import Subject
from anomech.scan.plan import ScanPlan
from anomech.scan.weighing import Weights
from anomech.storage.code import code_of

SHOWN = 200
"""Rows of a scanner that are kept; a network of thousands of layers or classes has more."""


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
    known = _known(plan, name, subject)
    parts = (subject.model, subject.reference, *map(_key, subject.clean), str(known))
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
    words = words_of(subject.task, scan)
    result = recorded(name, "triggers", scan, clean, words, triggers, known)
    if plan.attribute and result.chance is not None and result.chance.value <= plan.level:
        result = _attributed(result, scan, subject, plan, progress)
    return _saved(out, result, basis, time.monotonic() - clock)


def _known(plan: ScanPlan, name: str, subject: Subject) -> Null | None:
    """What the package knows of clean networks like the subject's, if it can be looked at."""
    if not {Layers, DifferentiableInputs} <= subject.task.provides:
        return None
    first = subject.trusted.examples.load(np.zeros(1, np.int64))
    shape = able(subject.task, DifferentiableInputs).embed(first).shape[1:]
    return shipped(name, plan.scanners[name], family(subject.task, shape))


def _attributed(
    result: ScannerResult, scan: Scan, subject: Subject, plan: ScanPlan, progress: Progress
) -> ScannerResult:
    """What finds something, with what an audit says of inputs with its trigger."""
    first = result.compared[0]
    if first.group is None or first.trigger is None:
        return result
    seen = witness(subject.task, subject.trusted, plan.seed, progress)
    if seen is None:
        return result
    facts = seen.facts(scan.candidates[first.group], first.group, subject.held_out)
    trigger = first.trigger.model_copy(update={"facts": {**first.trigger.facts, **facts}})
    first = first.model_copy(update={"trigger": trigger})
    return result.model_copy(update={"compared": (first, *result.compared[1:])})


def weigh(
    plan: ScanPlan, name: str, weights: Weights, digest: str, out: Path, progress: Progress
) -> ScannerResult:
    """What a scanner says of weights alone.

    Args:
        plan: of the scan.
        name: of the scanner.
        weights: of the model, of its base and of clean models.
        digest: of all of them.
        out: the folder of the scan.
        progress: told about every stage.
    """
    scanner = plan.method(name)
    basis = _basis(plan, name, scanner, (digest,))
    if (kept := _kept(out, name, basis)) is not None:
        return kept
    clock = time.monotonic()
    try:
        assert isinstance(scanner, WeighingScanner)
        scan = scanner.weigh(weights.state, weights.base, progress=progress)
        clean = [scanner.weigh(each, weights.base, progress=progress) for each in weights.clean]
        _check_alike(scan, clean)
    except CapabilityError as error:
        return ScannerResult(name=name, asked="weights", status="left out", why=str(error))
    result = recorded(name, "weights", scan, clean, _names(scan, weights.words), {})
    return _saved(out, result, basis, time.monotonic() - clock)


def recorded(
    name: str,
    asked: Asked,
    scan: Scan,
    clean: list[Scan],
    names: list[str],
    triggers: Mapping[int, Recovered],
    known: Null | None = None,
) -> ScannerResult:
    """The record of a scan; the most suspicious first.

    Args:
        name: of the scanner.
        asked: what the scanner looks at.
        scan: what it says of the model.
        clean: what it says of clean models of the same architecture.
        names: of what it compares, in its order.
        triggers: recovered ones by the place of what they lead to.
        known: its statistic on clean networks that come with the package, if there are any.
    """
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
        chance=_chance(scan, clean, asked, known),
        shares=scan.shares,
        problems=tuple(scan.health.problems),
        facts=dict(scan.facts or {}),
        evaluations=scan.evaluations,
    )


def words_of(task: Task, scan: Scan) -> list[str]:
    """Names of what a scan of a task compared."""
    return list(scan.names) if scan.names is not None else task.group_words(scan.groups)


def _names(scan: Scan, words: Sequence[str]) -> list[str]:
    """Names of what a scan of weights compared; classes have words if the model was opened."""
    if scan.names is not None:
        return list(scan.names)
    groups = scan.groups.tolist()
    return [words[each] if each < len(words) else str(each) for each in groups]


def _chance(scan: Scan, clean: list[Scan], asked: Asked, known: Null | None) -> Chance | None:
    """The p-value of a scan; None if nothing gives one, or the scan itself is unsound.

    Weights of one model are no measure of each other: layers and classes differ by nature. A
    search asks the same of every class, so that others say something of one, unless they share out
    one whole.
    """
    if scan.health.problems or not len(scan.statistic):
        return None
    found: ModelChance | None
    if len(clean) >= ENOUGH and scan.names is not None and scan.unit != "class":
        found = from_clean_parts(scan.statistic, [each.statistic for each in clean])
    elif clean:
        found = from_clean_models(scan.statistic, [each.statistic for each in clean])
    elif known is not None:
        found = from_known(scan.statistic, known)
    elif asked == "triggers" and not scan.shares:
        found = from_own_classes(scan.statistic, scan.usual)
    else:
        found = None
    return None if found is None else Chance(**found._asdict())


def _check_alike(scan: Scan, clean: list[Scan]) -> None:
    """Refuse clean models of another architecture.

    Raises:
        CapabilityError: other things were compared in one of them.
    """
    parts = [(each.names and list(each.names), len(each.statistic)) for each in (scan, *clean)]
    if any(each != parts[0] for each in parts):
        raise CapabilityError(
            "a clean model has other layers than this one; give clean models of the same "
            "architecture."
        )


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
