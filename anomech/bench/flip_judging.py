"""One network of a suite of flipped scores: trained, and judged by every detector."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.torch import load_file

from anomech.bench.flip_suite import FlipSuite
from anomech.bench.metrics import auroc
from anomech.bench.training_plan import TrainingPlan
from anomech.bench.training_run import NETWORK, basis_of, prepared, run_training
from anomech.bench.worlds.images import datasets
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.errors import CapabilityError, DataError
from anomech.kernel.types import Progress
from anomech.learning.flipping import HillOf, Walk, Way, check_followed, flipped, score_hill
from anomech.observing.observed import Observed, observe
from anomech.records.flips import FlipCell, FlipRow, NetworkRow
from anomech.roles.detector import FittedDetector
from anomech.storage.code import NUMBERLESS, code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier


@dataclass(frozen=True)
class Flips:
    """What all networks of a suite share.

    Attributes:
        suite: resolved.
        zoo: folder of trained networks.
        data: folder of data sets.
        progress: told about stages.
    """

    suite: FlipSuite
    zoo: Path
    data: Path | None
    progress: Progress


class Network(NamedTuple):
    """A piece: the name of a trainer, and a seed."""

    trainer: str
    seed: int


class Ground(NamedTuple):
    """A trained network with normal images, none of which it was trained on.

    Attributes:
        task: the network.
        anchors: rightly answered normal images that detectors are fitted to.
        normal: images to judge, uint8 `[n, h, w, c]`.
        foreign: images of each set, in the order of the suite.
    """

    task: ImageClassifier
    anchors: Observed
    normal: np.ndarray
    foreign: list[np.ndarray]


def judged(flips: Flips, piece: Network) -> FlipCell:
    """Train a network, or take the kept one, and judge it by every detector.

    Raises:
        DataError: too few images.
    """
    clock = time.monotonic()
    plan = plan_of(flips.suite, piece)
    lesson = prepared(plan, flips.data)
    place = flips.zoo / f"train-{basis_of(plan, lesson)}"
    run = run_training(plan, place, data=flips.data, progress=flips.progress)
    ground = _ground(flips, plan, place)
    rows = [
        row
        for name, values in flips.suite.detectors.items()
        for row in _rows(flips, piece, ground, name, plugins.make("detector", values, name))
    ]
    network = NetworkRow(
        trainer=piece.trainer,
        seed=piece.seed,
        accuracy=run.accuracy or 0.0,
        robust=run.robust,
        seconds=time.monotonic() - clock,
        problems=run.problems,
    )
    return FlipCell(basis=cell_basis(flips, piece), network=network, rows=tuple(rows))


def cell_basis(flips: Flips, piece: Network) -> str:
    """Hash of all that a cell's numbers rest on."""
    plan = plan_of(flips.suite, piece)
    detectors = [plugins.make("detector", v, n) for n, v in flips.suite.detectors.items()]
    code = code_of(*detectors) + code_digest(__name__, apart_from=NUMBERLESS)
    suite = repr([flips.suite.detectors, flips.suite.sets, flips.suite.eps, flips.suite.steps])
    sizes = repr([flips.suite.trusted, flips.suite.normal, flips.suite.foreign])
    trained = basis_of(plan, prepared(plan, flips.data))
    text = " ".join([trained, code, suite, sizes])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_of(suite: FlipSuite, piece: Network) -> TrainingPlan:
    """The training of a network."""
    trainer = plugins.make("trainer", suite.trainers[piece.trainer], piece.trainer)
    return TrainingPlan(
        trainer=trainer,
        data=suite.data,
        train=suite.train,
        outliers=suite.outliers if trainer.exposed else "",
        network=suite.network,
        recipe=suite.recipe,
        eps=suite.eps,
        device=suite.device,
        seed=piece.seed,
    )


def _ground(flips: Flips, plan: TrainingPlan, place: Path) -> Ground:
    suite, lesson = flips.suite, prepared(plan, flips.data)
    lesson.network.load_state_dict(load_file(place / NETWORK))
    task = ImageClassifier(lesson.network.eval(), device=lesson.device)
    images, labels = lesson.sets.test
    if len(labels) < suite.trusted + suite.normal:
        raise DataError(
            f"'{suite.data}' has {len(labels)} test images, fewer than trusted and normal ask for; "
            "lower one of them."
        )
    known = observe(task, from_arrays(images[: suite.trusted], labels[: suite.trusted]))
    right = known.answers.numpy() == labels[: suite.trusted]
    normal = images[suite.trusted : suite.trusted + suite.normal]
    foreign = [
        datasets.foreign(name, flips.data, normal)[: suite.foreign] for name, _ in suite.sets
    ]
    return Ground(task, known.take(np.flatnonzero(right)), normal, foreign)


def _rows(
    flips: Flips, piece: Network, ground: Ground, name: str, detector: object
) -> list[FlipRow]:
    """One detector on all foreign sets."""
    fitted = detector.fit(ground.anchors, seed=piece.seed, progress=flips.progress)  # type: ignore[attr-defined]
    attack = _attack(flips, piece, ground, fitted)
    normal = attack.scores(ground.normal)
    accused = attack.moved(ground.normal, "accuse", normal)
    rows = []
    for (foreign, near), images in zip(flips.suite.sets, ground.foreign, strict=True):
        strange = attack.scores(images)
        hidden = attack.moved(images, "hide", strange)
        pairs = ((normal, strange), (accused, strange), (normal, hidden), (accused, hidden))
        rows.append(
            FlipRow(
                trainer=piece.trainer,
                detector=name,
                foreign=foreign,
                near=near,
                seed=piece.seed,
                transferred=attack.transferred,
                auroc=_four([auroc(*pair) for pair in pairs]),
                fpr95=_four([fpr95(*pair) for pair in pairs]),
            )
        )
    return rows


@dataclass(frozen=True)
class Attack:
    """Everything an attacker tries against one detector.

    Attributes:
        flips: sizes of the walk, and who is told.
        task: the network.
        fitted: the detector.
        hills: what is climbed, one after the other.
        transferred: whether its own score is not among them, since it cannot be followed.
        seed: of the starts.
    """

    flips: Flips
    task: ImageClassifier
    fitted: FittedDetector
    hills: tuple[HillOf, ...]
    transferred: bool
    seed: int

    def scores(self, images: np.ndarray) -> np.ndarray:
        """What the detector says, float64 `[n]`; higher is more foreign."""
        seen = observe(self.task, from_arrays(images))
        return np.asarray(self.fitted.score(seen, self.flips.progress).score)

    def moved(self, images: np.ndarray, way: Way, still: np.ndarray) -> np.ndarray:
        """Scores where each image goes farthest, over all hills; `still` are those unmoved."""
        suite, progress = self.flips.suite, self.flips.progress
        walk = Walk(suite.eps, suite.steps)
        found = [still]
        for hill in self.hills:
            there = flipped(self.task, images, hill, way, walk, seed=self.seed, progress=progress)
            found.append(self.scores(there))
        return np.asarray((np.maximum if way == "accuse" else np.minimum).reduce(found))


def _attack(flips: Flips, piece: Network, ground: Ground, fitted: FittedDetector) -> Attack:
    """Climbs the detector's own score where it can be followed, and the confidence in any case.

    A score may be flat where an image stands, so that its slope leads nowhere; what moves the
    confidence may move it still.
    """
    confidence = plugins.get("detector", "confidence")()
    worn = confidence.fit(ground.anchors, seed=piece.seed, progress=flips.progress)
    try:
        check_followed(ground.task, fitted, ground.normal[:2])
    except CapabilityError:
        return Attack(flips, ground.task, fitted, (_hill(worn),), True, piece.seed)
    return Attack(flips, ground.task, fitted, (_hill(fitted), _hill(worn)), False, piece.seed)


def _hill(fitted: FittedDetector) -> HillOf:
    return lambda task, images: score_hill(task, fitted, images)


def fpr95(normal: np.ndarray, foreign: np.ndarray) -> float:
    """Share of foreign inputs that pass where 95 % of normal ones do."""
    return float((foreign <= np.quantile(normal, 0.95)).mean())


def _four(values: list[float]) -> tuple[float, float, float, float]:
    first, second, third, fourth = values
    return first, second, third, fourth
