"""One network of a suite of whole networks: trained, measured, and judged by scanners."""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from torch import nn

from anomech.bench.machine import versions
from anomech.bench.models.suite import Made, ModelSuite
from anomech.bench.piecewise import kept
from anomech.bench.worlds.images.datasets import ImageSets
from anomech.bench.worlds.images.zoo import ZooVictim, fetch, success_rate
from anomech.data.images import from_arrays
from anomech.data.splits import stratified
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, CapabilityError, ConfigError
from anomech.kernel.types import Progress
from anomech.learning.training import predict
from anomech.observing.observed import Observed, observe
from anomech.records import write_record
from anomech.records.modelcards import ModelCard, NetworkCard
from anomech.roles.attack import Trigger
from anomech.roles.task import missing
from anomech.storage.code import NUMBERLESS, code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier


@dataclass(frozen=True, eq=False)
class Work:
    """What all networks of a bench share.

    Attributes:
        suite: resolved.
        sets: the data.
        content: hash of the data, the versions and the code.
        out: folder of the bench.
        zoo: folder of trained networks.
    """

    suite: ModelSuite
    sets: ImageSets
    content: str
    out: Path
    zoo: Path


def content_of(sets: ImageSets) -> str:
    """A hash of the data, of the versions and of the code that trains and stages."""
    code = code_digest(__name__, apart_from=NUMBERLESS)
    digest = hashlib.sha256(f"{sorted(versions().items())} {code}".encode())
    for array in (*sets.train, *sets.test):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def judge(
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
    lacking = [name for name in scanners if not _answered(work, folder, name, basis)]
    card = kept(folder / "network.json", NetworkCard, basis)
    if not lacking and card is not None:
        return
    try:
        model, triggers = fetch(
            made.network, work.sets.train, work.zoo, progress, device=work.suite.device
        )
    except AnomechError as error:
        write_record(folder / "network.json", _network(made, basis, "failed", str(error)))
        return
    trusted, rest = _split(work.sets, work.suite.trusted, made.network.seed)
    if card is None:
        card = _measured(work, made, model, triggers, rest, basis)
        write_record(folder / "network.json", card)
    if card.status == "failed":
        return
    images, labels = work.sets.test
    examples = from_arrays(images[trusted], labels[trusted])
    task = ImageClassifier(model, device=work.suite.device).prepared(examples)
    observed = observe(task, examples)
    for name in lacking:
        made_card = _scanned(work, made, name, task, observed, basis, progress)
        write_record(folder / f"{name}.json", made_card)
        told(made_card)


def _answered(work: Work, folder: Path, name: str, basis: str) -> bool:
    """Whether a scanner's card is there and still counts; one that failed is tried again."""
    card = kept(folder / f"{name}.json", ModelCard, card_basis(work, name, basis))
    return card is not None and card.status != "failed"


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
    own = card_basis(work, name, basis)
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
        usual=scan.usual,
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


def card_basis(work: Work, name: str, basis: str) -> str:
    """Hash of all that a scanner's card rests on."""
    scanner = plugins.make("scanner", {"use": name, **work.suite.scanners[name]}, name)
    options = sorted(work.suite.scanners[name].items())
    text = f"{basis} {code_of(scanner)} {options} {work.suite.trusted} {work.suite.device}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]
