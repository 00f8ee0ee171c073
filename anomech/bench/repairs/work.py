"""One cell of a bench of repairs: repair a network, and see what is left of its attack."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from anomech.bench.repairs.suite import RepairCell, RepairSuite, method_of, subject_of
from anomech.bench.worlds.images.datasets import ImageSets
from anomech.bench.worlds.images.perturber import Perturber
from anomech.bench.worlds.images.zoo import Trained, obtain, success_rate
from anomech.data.images import ImageExamples, from_arrays
from anomech.data.subset import Subset
from anomech.kernel.errors import AnomechError, DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress, silent
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.learning.training import predict
from anomech.observing.observed import observe
from anomech.records.repair import RepairCard
from anomech.roles.attack import Trigger
from anomech.roles.mitigation import Repair
from anomech.tasks.image_classifier import ImageClassifier

RELEARNING = Relearning(epochs=1, steps=60, rate=0.01, weight_decay=0.0, statistics="frozen")
SOURCES = 3
"""Test images set aside for each flagged input, so that enough triggers of them work."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A trained network, and images in roles that share none.

    Attributes:
        trained: the network and its trigger.
        task: with the network.
        trusted: images with labels.
        flagged: what an audit flagged, of which some have no trigger.
        poison: triggered images for the relearning curve, with the attacker's labels.
        test: images and labels that everything is measured on.
        trained_on: images that the network was trained on.
    """

    trained: Trained
    task: ImageClassifier
    trusted: ImageExamples
    flagged: ImageExamples
    poison: ImageExamples
    test: tuple[np.ndarray, np.ndarray]
    trained_on: int

    @property
    def trigger(self) -> Trigger:
        """Of the first attack."""
        return self.trained.attacks[0]


def scene_of(
    suite: RepairSuite, cell: RepairCell, sets: ImageSets, zoo: Path, progress: Progress
) -> Scene:
    """The network of a cell and its images.

    Raises:
        ModelError: the attack did not succeed.
        DataError: there are too few test images.
    """
    spec, kind = suite.subjects[cell.subject], suite.trusted[cell.trusted]
    subject = subject_of(suite, cell.subject, cell.seed)
    least = spec.least_success
    found = obtain(
        subject, sets.train, sets.test, zoo, progress, least_success=least, device=suite.device
    )
    images, labels = sets.test
    order = numpy_generator(cell.seed, "repairs", "split").permutation(len(labels))
    count = max(4, round(kind.share * len(sets.train[1])))
    sources = SOURCES * (suite.flagged + max(suite.poisons, default=0))
    if count + sources + 100 > len(labels):
        raise DataError(
            f"the suite asks for {count + sources} test images beside 100 to measure on, and "
            f"{suite.data} has {len(labels)}; lower flagged, poisons or the share of trusted ones."
        )
    source, trusted, test = np.split(order, [sources, sources + count])
    task = ImageClassifier(found.model, device=suite.device)
    trigger, classes = found.attacks[0], found.classes
    perturber = Perturber(task, subject.fingerprint(*sets.train), cell.seed, zoo / "shift", silent)
    clean = perturber.changed(kind.shift, images[trusted], labels[trusted])
    reference = _trusted(clean, labels[trusted], trigger, classes, kind.contaminated)
    prepared = task.prepared(reference)
    flagged, poison = _flagged(suite, prepared, trigger, classes, images[source], labels[source])
    measured = (images[test], labels[test])
    return Scene(found, prepared, reference, flagged, poison, measured, len(sets.train[1]))


def _trusted(
    images: np.ndarray, labels: np.ndarray, trigger: Trigger, classes: int, contaminated: float
) -> ImageExamples:
    """Trusted images; a share of them has the trigger and its label."""
    images, labels = images.copy(), labels.copy()
    able = np.flatnonzero(trigger.goal.tested_on(labels, classes))
    chosen = able[: round(contaminated * len(labels))]
    if len(chosen):
        images[chosen] = trigger.stamp(images[chosen])
        labels[chosen] = trigger.goal.labels(labels[chosen], classes)
    return from_arrays(images, labels)


def _flagged(
    suite: RepairSuite,
    task: ImageClassifier,
    trigger: Trigger,
    classes: int,
    images: np.ndarray,
    labels: np.ndarray,
) -> tuple[ImageExamples, ImageExamples]:
    """What an audit flagged: triggered images that worked, and false flags; and poisoned images."""
    meant = np.flatnonzero(trigger.goal.tested_on(labels, classes))
    stamped, wanted = trigger.stamp(images[meant]), trigger.goal.labels(labels[meant], classes)
    worked = np.flatnonzero(observe(task, from_arrays(stamped)).answers.numpy() == wanted)
    false = round(suite.false_flags * suite.flagged)
    used = worked[: suite.flagged - false]
    plain = images[np.setdiff1d(np.arange(len(images)), meant[used])][:false]
    most = max(suite.poisons, default=0)
    rest = np.setdiff1d(np.arange(len(meant)), used)[:most]
    return (
        from_arrays(np.concatenate([stamped[used], plain])),
        from_arrays(stamped[rest], wanted[rest]),
    )


def repaired(suite: RepairSuite, cell: RepairCell, scene: Scene, progress: Progress) -> RepairCard:
    """Repair the network of a scene and measure it on test images."""
    method = method_of(cell.method, suite.methods[cell.method])
    trusted, suspects = (observe(scene.task, each) for each in (scene.trusted, scene.flagged))
    clock = time.monotonic()
    try:
        found = method.mitigate(scene.task, trusted, suspects, seed=cell.seed, progress=progress)
    except AnomechError as error:
        return RepairCard(**_address(suite, cell), status="failed", why=str(error))
    seconds = time.monotonic() - clock
    return _card(suite, cell, scene, found, seconds)


def _card(
    suite: RepairSuite, cell: RepairCell, scene: Scene, found: Repair, seconds: float
) -> RepairCard:
    trained, (images, labels) = scene.trained, scene.test
    network = scene.task.with_(found.overlay).network
    before, after = (_accuracy(each, images, labels) for each in (trained.model, network))
    success, robust = success_rate(trained.model, scene.trigger, images, labels, trained.classes)
    still, kept = success_rate(network, scene.trigger, images, labels, trained.classes)
    assert success is not None
    assert still is not None
    recipe = subject_of(suite, cell.subject, cell.seed).recipe
    return RepairCard(
        **_address(suite, cell),
        status="done",
        accuracy_before=before,
        accuracy=after,
        success_before=success,
        success=still,
        robust_before=robust,
        robust=kept,
        der=effectiveness(success, still, before, after),
        seconds=seconds,
        evaluations=found.evaluations,
        of_training=found.evaluations / (3.0 * recipe.epochs * scene.trained_on),
        relearning=tuple(_curve(suite, cell, scene, found, still)),
        problems=tuple(found.health.problems),
        facts={k: v for k, v in (found.health.facts or {}).items() if np.isfinite(v)},
    )


def effectiveness(success: float, still: float, before: float, after: float) -> float:
    """Defense effectiveness rating: half of (success lost - accuracy lost + 1), gains as none."""
    return (max(0.0, success - still) - max(0.0, before - after) + 1) / 2


def _address(suite: RepairSuite, cell: RepairCell) -> dict[str, object]:
    return {
        "id": cell.id,
        "subject": cell.subject,
        "trusted": cell.trusted,
        "method": cell.method,
        "seed": cell.seed,
        "role": suite.subjects[cell.subject].role,
    }


def _accuracy(network: torch.nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    return float((predict(network, images) == labels).mean())


def _curve(
    suite: RepairSuite, cell: RepairCell, scene: Scene, found: Repair, still: float
) -> list[tuple[float, float]]:
    """Attack success after the repaired network learned trusted and a few poisoned images."""
    curve = [(0.0, still)]
    task, (images, labels) = scene.task.with_(found.overlay), scene.test
    for count in suite.poisons:
        if count > len(scene.poison):
            break
        poison = Subset(scene.poison, np.arange(count))
        both = np.concatenate([np.asarray(each.labels) for each in (scene.trusted, poison)])
        pixels = [each.load(np.arange(len(each))) for each in (scene.trusted, poison)]
        lesson = Lesson(task, from_arrays(np.concatenate(pixels)), task.targets(both), "frozen")
        taught = descend(
            task.watched, len(both), plainly(lesson), RELEARNING, seed=cell.seed, progress=silent
        )
        network = task.with_(taught.overlay).network
        back, _ = success_rate(network, scene.trigger, images, labels, scene.trained.classes)
        assert back is not None
        curve.append((float(count), back))
    return curve
