"""One attack of a suite of stealth: planted, measured, and met with repairs and detectors."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor, nn

from anomech.bench.metrics import auroc, detector_der
from anomech.bench.stealth_measures import (
    feature_traces,
    input_traces,
    last_map,
    repair_der,
    weight_traces,
)
from anomech.bench.stealth_suite import StealthSuite, subject
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.zoo import fetch
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, DataError, ModelError
from anomech.kernel.types import Progress
from anomech.learning.pixels import as_float
from anomech.learning.training import predict
from anomech.observing.observed import Observed, observe
from anomech.records.stealth import (
    Detected,
    FeatureTraces,
    Repaired,
    Scanned,
    StealthCell,
    WeightTraces,
)
from anomech.roles.attack import Trigger
from anomech.storage.code import NUMBERLESS, code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier

MAPS = 128
"""Images whose maps are compared."""

LEVEL = 0.05
"""Share of trusted examples above the threshold of a detector."""


@dataclass(frozen=True)
class Stealth:
    """What all attacks of a suite share.

    Attributes:
        suite: resolved.
        zoo: folder of trained networks.
        sets: the data.
        progress: told about stages.
    """

    suite: StealthSuite
    zoo: Path
    sets: datasets.ImageSets
    progress: Progress


@dataclass(frozen=True, eq=False)
class Scene:
    """An attacked network, its clean twin, and test images neither has seen.

    Attributes:
        network: attacked, in evaluation mode.
        twin: clean.
        task: the attacked network.
        trigger: of the attack.
        trusted: test images with labels that a defender has.
        images: test images to judge, uint8 `[n, h, w, c]`.
        labels: theirs.
        tested: those that the trigger is meant for, bool `[n]`.
    """

    network: nn.Module
    twin: nn.Module
    task: ImageClassifier
    trigger: Trigger
    trusted: Observed
    images: np.ndarray
    labels: np.ndarray
    tested: np.ndarray

    @property
    def wanted(self) -> np.ndarray:
        """The attacker's labels of the tested images."""
        return self.trigger.goal.labels(self.labels[self.tested], int(self.labels.max()) + 1)

    def success(self, network: nn.Module) -> float:
        """Share of the triggered images that get the attacker's label."""
        answers = predict(network, self.triggered)
        return float((answers == self.wanted).mean())

    def accuracy(self, network: nn.Module) -> float:
        """Share of clean images that are answered rightly."""
        return float((predict(network, self.images) == self.labels).mean())

    @property
    def triggered(self) -> np.ndarray:
        """The tested images with the trigger."""
        stamped: np.ndarray = self.trigger.stamp(self.images[self.tested])
        return stamped


def judged(stealth: Stealth, attack: str) -> StealthCell:
    """Plant an attack, or take the kept network, and measure it.

    Raises:
        DataError: too few test images.
        ModelError: the trigger leads nothing anywhere.
    """
    clock = time.monotonic()
    scene = _scene(stealth, attack)
    success, accuracy = scene.success(scene.network), scene.accuracy(scene.network)
    suite = stealth.suite
    return StealthCell(
        basis=cell_basis(stealth, attack),
        attack=attack,
        accuracy=accuracy,
        clean_accuracy=scene.accuracy(scene.twin),
        success=success,
        carried=scene.success(scene.twin),
        inputs=input_traces(scene.images[scene.tested], scene.triggered),
        features=_features(scene, suite.seed),
        weights=_weights(scene, scene.network),
        clean_weights=_weights(scene, scene.twin),
        repaired=tuple(
            _repaired(stealth, scene, name, success, accuracy) for name in suite.repairs
        ),
        detected=tuple(_detected(stealth, scene, name) for name in suite.detectors),
        scanned=tuple(_scanned(stealth, scene, name) for name in suite.scanners),
        seconds=time.monotonic() - clock,
    )


def cell_basis(stealth: Stealth, attack: str) -> str:
    """Hash of all that a cell's numbers rest on."""
    suite = stealth.suite
    code = [code_of(*subject(suite, attack).methods), code_digest(__name__, apart_from=NUMBERLESS)]
    network = subject(suite, attack).fingerprint(*stealth.sets.train)
    others = [
        suite.repairs,
        suite.detectors,
        suite.scanners,
        suite.trusted,
        suite.judged,
        suite.seed,
    ]
    digest = hashlib.sha256(" ".join([*code, network, repr(others)]).encode())
    for array in stealth.sets.test:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _scene(stealth: Stealth, attack: str) -> Scene:
    suite, sets = stealth.suite, stealth.sets
    given = (sets.train, stealth.zoo, stealth.progress)
    twin, _ = fetch(subject(suite, ""), *given, device=suite.device)
    network, (trigger,) = fetch(subject(suite, attack), *given, device=suite.device)
    images, labels = sets.test
    end = suite.trusted + suite.judged
    if len(labels) < end:
        raise DataError(
            f"'{suite.data}' has {len(labels)} test images, fewer than trusted and judged ask for; "
            "lower one of them."
        )
    task = ImageClassifier(network, device=suite.device)
    known = from_arrays(images[: suite.trusted], labels[: suite.trusted])
    prepared = task.prepared(known)
    trusted = observe(prepared, known)
    images, labels = images[suite.trusted : end], labels[suite.trusted : end]
    tested = trigger.goal.tested_on(labels, sets.classes)
    if not tested.any():
        raise ModelError(f"{attack} leads no image to another label; change its goal.")
    return Scene(network, twin, prepared, trigger, trusted, images, labels, tested)


def _features(scene: Scene, seed: int) -> FeatureTraces:
    """Features of triggered images that worked, beside clean ones answered as the target."""
    answers = predict(scene.network, scene.triggered)
    worked = scene.triggered[answers == scene.wanted]
    clean = scene.images[np.isin(predict(scene.network, scene.images), scene.wanted)]
    if len(worked) < 2 or len(clean) < 2:
        raise ModelError(
            "too few triggered images reach the target to be measured; strengthen the attack."
        )
    target, triggered = (
        observe(scene.task, from_arrays(each)).features.numpy() for each in (clean, worked)
    )
    return feature_traces(target, triggered, seed)


def _weights(scene: Scene, network: nn.Module) -> WeightTraces:
    task = ImageClassifier(network)
    some = scene.images[scene.tested][:MAPS]
    device = next(network.parameters()).device

    def maps(images: np.ndarray) -> Tensor:
        return last_map(network, as_float(images).to(device)).cpu()

    clean, triggered = maps(some), maps(scene.trigger.stamp(some))
    return weight_traces(network.state_dict(), task.units(some[:4]), clean, triggered)


def _repaired(
    stealth: Stealth, scene: Scene, name: str, success: float, accuracy: float
) -> Repaired:
    """The network after a repair by trusted examples; what a repair refuses is told."""
    method = plugins.make("mitigation", stealth.suite.repairs[name], name)
    try:
        repair = method.mitigate(
            scene.task, scene.trusted, None, seed=stealth.suite.seed, progress=stealth.progress
        )
    except AnomechError as error:
        return Repaired(
            repair=name, accuracy=accuracy, success=success, der=0.5, problem=str(error)
        )
    network = scene.task.with_(repair.overlay).model
    after = scene.success(network.eval()), scene.accuracy(network)
    return Repaired(
        repair=name,
        accuracy=after[1],
        success=after[0],
        der=repair_der(success, accuracy, *after),
        problem=" ".join(repair.health.problems),
    )


def _detected(stealth: Stealth, scene: Scene, name: str) -> Detected:
    """A detector fitted to half of the trusted examples, its threshold from the other half."""
    method = plugins.make("detector", stealth.suite.detectors[name], name)
    half, seed = len(scene.trusted) // 2, stealth.suite.seed
    right = scene.trusted.answers.numpy() == np.array(scene.trusted.examples.labels)
    anchors = scene.trusted.take(np.flatnonzero(right[:half]))
    fitted = method.fit(anchors, seed=seed, progress=stealth.progress)

    def scores(seen: Observed) -> np.ndarray:
        return np.asarray(fitted.score(seen, stealth.progress).score)

    answers = predict(scene.network, scene.triggered)
    worked = observe(scene.task, from_arrays(scene.triggered[answers == scene.wanted]))
    normal = scores(observe(scene.task, from_arrays(scene.images)))
    anomalous = scores(worked)
    calibrating = scores(scene.trusted.take(np.arange(half, len(scene.trusted))))
    threshold = np.quantile(calibrating, 1 - LEVEL, method="higher")
    rates = float((anomalous > threshold).mean()), float((normal > threshold).mean())
    return Detected(detector=name, auroc=auroc(normal, anomalous), der=detector_der(*rates))


def _scanned(stealth: Stealth, scene: Scene, name: str) -> Scanned:
    """A scanner on the attacked network and on its twin; what it refuses is told."""
    method = plugins.make("scanner", stealth.suite.scanners[name], name)
    found = []
    for network in (scene.network, scene.twin):
        task = ImageClassifier(network, device=stealth.suite.device)
        try:
            task = task.prepared(scene.trusted.examples)
            trusted = observe(task, scene.trusted.examples)
            scan = method.scan(task, trusted, seed=stealth.suite.seed, progress=stealth.progress)
        except AnomechError as error:
            return _unscanned(name, str(error))
        if scan.names is not None:
            return _unscanned(name, f"{name} compares {scan.unit}s, and names no class.")
        found.append(scan)
    attacked, clean = found
    place = int(attacked.statistic.argmax())
    answer = int(attacked.groups[place])
    return Scanned(
        scanner=name,
        found=answer,
        right=answer in scene.wanted,
        statistic=float(attacked.statistic[place]),
        clean=float(clean.statistic.max()),
        problem=" ".join((*attacked.health.problems, *clean.health.problems)),
    )


def _unscanned(name: str, problem: str) -> Scanned:
    return Scanned(scanner=name, found=-1, right=False, statistic=0.0, clean=0.0, problem=problem)
