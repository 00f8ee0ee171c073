"""Running a suite of whole networks: each is trained, judged by every scanner once, and kept."""

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from torch import nn

from anomech.audit.write.place import locked
from anomech.bench.machine import hardware, versions
from anomech.bench.models.grading import graded
from anomech.bench.models.suite import Made, ModelSuite, as_yaml, networks
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.datasets import ImageSets
from anomech.bench.worlds.images.zoo import ZooVictim, fetch, success_rate
from anomech.data.images import from_arrays
from anomech.data.splits import stratified
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, CapabilityError, ConfigError, RunError
from anomech.kernel.types import Progress, silent
from anomech.learning.training import predict
from anomech.observing.observed import Observed, observe
from anomech.records import read_record, write_record, write_text
from anomech.records.modelcards import ModelBench, ModelCard, NetworkCard
from anomech.report.models.render import markdown, render_models
from anomech.roles.attack import Trigger
from anomech.roles.task import missing
from anomech.storage.code import code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier

TOP = "models.json"

Kept = TypeVar("Kept", ModelCard, NetworkCard)


@dataclass(frozen=True, eq=False)
class Work:
    """What all networks of a bench share."""

    suite: ModelSuite
    sets: ImageSets
    content: str
    out: Path
    zoo: Path


def run_models(
    suite: ModelSuite,
    out: Path,
    *,
    zoo: Path,
    data: Path | None = None,
    patterns: Sequence[str] = (),
    progress: Progress = silent,
    told: Callable[[ModelCard], None] = lambda card: None,
) -> ModelBench:
    """Train and judge the networks of a suite, or those that are missing, and write its folder.

    Args:
        suite: resolved, see `anomech.bench.models.suite.from_mapping`.
        out: folder of the bench.
        zoo: folder of trained networks, which suites share.
        data: folder of data sets.
        patterns: globs of NETWORK/SCANNER to run; none is all.
        progress: told about stages.
        told: given every card that is made.

    Raises:
        ConfigError: the suite names what there is not, or a pattern matches nothing.
        RunError: the folder holds another bench.
        KeyboardInterrupt: what is done stays.
    """
    every = list(networks(suite))
    asked = _asked(every, list(suite.scanners), patterns)
    sets = datasets.load(suite.data, data)
    if suite.train:
        images, labels = sets.train
        sets = sets._replace(train=(images[: suite.train], labels[: suite.train]))
    work = Work(suite, sets, _content(sets), out.resolve(), zoo.resolve())
    with locked(out):
        if (out / TOP).exists():
            before = read_record(out / TOP, ModelBench)
            if before.suite != suite.name:
                raise RunError(f"{out} holds a bench of '{before.suite}'; choose another --out.")
        write_text(out / "suite.yaml", as_yaml(suite))
        try:
            for done, (made, scanners) in enumerate(asked.items(), start=1):
                _judge(work, every[made], scanners, progress, told)
                progress("networks", done, len(asked))
        except BaseException:
            with suppress(RunError):  # the first error is the one to show
                _written(work, every)
            raise
        return _written(work, every)


def _asked(
    every: Sequence[Made], scanners: Sequence[str], patterns: Sequence[str]
) -> dict[int, list[str]]:
    """The scanners that are to judge each network, by its place."""
    found: dict[int, list[str]] = {}
    for place, made in enumerate(every):
        for scanner in scanners:
            name = f"{made.name}/{scanner}"
            if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
                found.setdefault(place, []).append(scanner)
    if not found:
        raise ConfigError(
            f"nothing matches '{patterns[0]}'; the first is called "
            f"'{every[0].name}/{scanners[0]}', and * stands for anything."
        )
    return found


def _content(sets: ImageSets) -> str:
    """A hash of the data, of the versions and of the code that trains and stages."""
    code = code_digest("anomech.bench.models.runner", apart_from=("anomech.report",))
    digest = hashlib.sha256(f"{sorted(versions().items())} {code}".encode())
    for array in (*sets.train, *sets.test):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _judge(
    work: Work,
    made: Made,
    scanners: Sequence[str],
    progress: Progress,
    told: Callable[[ModelCard], None],
) -> None:
    """Let scanners judge one network; results that still stand are not made again."""
    folder = work.out / "networks" / made.name
    address = made.network.fingerprint(*work.sets.train)
    basis = f"{work.content} {address}"
    missing_ = [name for name in scanners if _kept(work, folder, name, basis) is None]
    card = _read(folder / "network.json", NetworkCard)
    if not missing_ and card is not None and card.basis == basis:
        return
    try:
        model, triggers = fetch(
            made.network, work.sets.train, work.zoo, progress, device=work.suite.device
        )
    except AnomechError as error:
        write_record(folder / "network.json", _network(made, basis, "failed", str(error)))
        return
    trusted, rest = _split(work.sets, work.suite.trusted, made.network.seed)
    if card is None or card.basis != basis:
        card = _measured(work, made, model, triggers, rest, basis)
        write_record(folder / "network.json", card)
    if card.status == "failed":
        return
    images, labels = work.sets.test
    examples = from_arrays(images[trusted], labels[trusted])
    task = ImageClassifier(model, device=work.suite.device).prepared(examples)
    observed = observe(task, examples)
    for name in missing_:
        made_card = _scanned(work, made, name, task, observed, basis, progress)
        write_record(folder / f"{name}.json", made_card)
        told(made_card)


def _scanned(
    work: Work,
    made: Made,
    name: str,
    task: ImageClassifier,
    trusted: Observed,
    basis: str,
    progress: Progress,
) -> ModelCard:
    """What a scanner says of a network; what goes wrong stands on the card."""
    scanner = plugins.make("scanner", {"use": name, **work.suite.scanners[name]}, name)
    own = _basis(work, name, basis)
    if lacking := missing(scanner.needs, task):
        why = f"this {task.kind} does not give {' and '.join(lacking)}."
        return ModelCard(network=made.name, scanner=name, status="left out", reason=why, basis=own)
    clock = time.process_time()
    try:
        scan = scanner.scan(task, trusted, seed=made.network.seed, progress=progress)
    except AnomechError as error:
        return ModelCard(
            network=made.name,
            scanner=name,
            status="left out" if isinstance(error, CapabilityError) else "failed",
            reason=str(error),
            basis=own,
        )
    return ModelCard(
        network=made.name,
        scanner=name,
        status="done",
        groups=tuple(scan.groups.tolist()),
        statistic=tuple(scan.statistic.tolist()),
        whole=scan.names is not None,
        problems=tuple(scan.health.problems),
        facts=dict(scan.facts or {}),
        evaluations=scan.evaluations,
        seconds=time.process_time() - clock,
        basis=own,
    )


def _split(sets: ImageSets, trusted: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the trusted test images, and of those that a network is measured on.

    Raises:
        ConfigError: there are too few test images.
    """
    labels = sets.test[1]
    if trusted >= len(labels):
        raise ConfigError(
            f"the suite asks for {trusted} trusted images, and there are {len(labels)} test "
            "images; ask for fewer."
        )
    share = trusted / len(labels)
    first, second = stratified(labels, (share, 1 - share), seed=seed, purpose="models")
    return first, second


def _measured(
    work: Work,
    made: Made,
    model: nn.Module,
    triggers: Sequence[Trigger],
    rest: np.ndarray,
    basis: str,
) -> NetworkCard:
    """How well a network and what is planted in it work."""
    images, labels = work.sets.test
    classes = int(work.sets.train[1].max()) + 1
    accuracy = float((predict(model, images[rest]) == labels[rest]).mean())
    rates = [success_rate(model, each, images[rest], labels[rest], classes)[0] for each in triggers]
    success = min((rate for rate in rates if rate is not None), default=None)
    card = _network(made, basis, "done", "").model_copy(
        update={"accuracy": accuracy, "success": success, "epoch_seconds": _epoch(work, made)}
    )
    if accuracy < 2 / classes:
        return card.model_copy(
            update={"status": "failed", "reason": f"it answers {accuracy:.0%} rightly."}
        )
    if success is not None and success < made.spec.least_success:
        reason = f"the attack succeeds on {success:.0%} of triggered images only."
        return card.model_copy(update={"status": "failed", "reason": reason})
    return card


def _epoch(work: Work, made: Made) -> float:
    """Processor time of one epoch of clean training."""
    victim = ZooVictim(made.network, work.sets.train, work.zoo, work.suite.device)
    clock = time.process_time()
    victim.fit(victim.build(), *work.sets.train, share=1e-9)
    return time.process_time() - clock


def _network(made: Made, basis: str, status: Literal["done", "failed"], reason: str) -> NetworkCard:
    return NetworkCard(
        name=made.name,
        subject=made.subject,
        kind=made.kind,
        role=made.spec.role,
        seed=made.network.seed,
        target=made.target,
        status=status,
        reason=reason,
        basis=basis,
    )


def _basis(work: Work, name: str, basis: str) -> str:
    """Hash of all that a scanner's card rests on."""
    scanner = plugins.make("scanner", {"use": name, **work.suite.scanners[name]}, name)
    options = sorted(work.suite.scanners[name].items())
    text = f"{basis} {code_of(scanner)} {options} {work.suite.trusted} {work.suite.device}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(work: Work, folder: Path, name: str, basis: str) -> ModelCard | None:
    card = _read(folder / f"{name}.json", ModelCard)
    return card if card is not None and card.basis == _basis(work, name, basis) else None


def _read(path: Path, kind: type[Kept]) -> Kept | None:
    return read_record(path, kind) if path.exists() else None


def _written(work: Work, every: Sequence[Made]) -> ModelBench:
    """The top record and tables of all that is there."""
    cards, found = [], []
    for made in every:
        folder = work.out / "networks" / made.name
        if (network := _read(folder / "network.json", NetworkCard)) is None:
            continue
        found.append(network)
        paths = [folder / f"{name}.json" for name in work.suite.scanners]
        cards += [card for path in paths if (card := _read(path, ModelCard)) is not None]
    usable = sum(each.status == "done" for each in found)
    complete = len(found) == len(every) and len(cards) == usable * len(work.suite.scanners)
    standings, chances = graded(found, cards, work.suite)
    bench = ModelBench(
        suite=work.suite.name,
        title=work.suite.title,
        description=work.suite.description,
        level=work.suite.level,
        status="complete" if complete else "interrupted",
        versions=versions(),
        hardware=hardware(work.suite.device),
        networks=tuple(found),
        standings=standings,
        chances=chances,
        failed=sum(card.status == "failed" for card in cards),
    )
    write_record(work.out / TOP, bench)
    write_text(work.out / "leaderboard.md", markdown(bench))
    render_models(work.out)
    return bench
