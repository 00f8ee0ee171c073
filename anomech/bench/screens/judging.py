"""A training set with known poison, what a screen makes of it, and what training without it leaves.

Nothing of the truth reaches a screen: it gets the examples, their labels as training saw them, the
answers of a network trained on them, and trusted test images.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score, roc_auc_score
from torch import nn

from anomech.bench.screens.suite import ScreenSuite, subject
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.zoo import fetch, success_rate
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.errors import AnomechError, CapabilityError, DataError
from anomech.kernel.types import Examples, Progress
from anomech.learning.retraining import retrained
from anomech.learning.training import predict
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.records.screencards import ScreenCard, ScreenCase
from anomech.roles.attack import DataAttack, Trigger
from anomech.roles.screen import Screen
from anomech.roles.task import missing
from anomech.storage.code import NUMBERLESS, code_digest, code_of
from anomech.tasks.image_classifier import ImageClassifier


@dataclass(frozen=True)
class Scene:
    """A case: a training set, the network that was trained on it, and the truth.

    Attributes:
        suite: resolved.
        case: its name.
        network: trained on it, in evaluation mode.
        trigger: that was planted; None if nothing was.
        examples: the training set as training saw it.
        poisoned: which of them are poison, bool `[examples]`.
        sets: clean data; the trusted images are the first of its test part, the others measure.
        progress: told about stages.
    """

    suite: ScreenSuite
    case: str
    network: nn.Module
    trigger: Trigger | None
    examples: Examples
    poisoned: np.ndarray
    sets: datasets.ImageSets
    progress: Progress

    @cached_property
    def observed(self) -> Observed:
        """The training set with the network's answers."""
        return observe(self.trusted.task, self.examples, progress=self.progress)

    @cached_property
    def trusted(self) -> Observed:
        """Trusted test images with the network's answers."""
        images, labels = (each[: self.suite.trusted] for each in self.sets.test)
        known = from_arrays(images, labels)
        return observe(prepared(ImageClassifier(self.network), known), known)

    @property
    def labels(self) -> np.ndarray:
        """As training saw them."""
        given = self.examples.labels
        assert given is not None, "scene() gave labels"
        return given

    def measured(self, network: nn.Module) -> tuple[float, float | None]:
        """Accuracy on clean test images, and attack success."""
        images, labels = (each[self.suite.trusted :] for each in self.sets.test)
        accuracy = float((predict(network, images) == labels).mean())
        if self.trigger is None:
            return accuracy, None
        given = (self.trigger, images, labels, self.sets.classes)
        return accuracy, success_rate(network, *given)[0]

    def without(self, suspects: np.ndarray) -> tuple[float, float | None]:
        """The same of a network that is trained anew without some examples."""
        made = retrained(
            self.network,
            self.examples,
            ~suspects,
            recipe=self.suite.recipe,
            seed=self.suite.seed,
            progress=self.progress,
        )
        network = subject(self.suite, self.case).network.build(
            classes=self.sets.classes, channels=self.sets.train[0].shape[-1]
        )
        network.load_state_dict(made.weights)
        return self.measured(network.eval())


def scene(
    suite: ScreenSuite, case: str, sets: datasets.ImageSets, zoo: Path, progress: Progress
) -> Scene:
    """The training set of a case, and its network from the zoo or trained now.

    Raises:
        DataError: no test images are left to measure on.
    """
    if len(sets.test[1]) <= suite.trusted:
        raise DataError(f"'{suite.data}' has {len(sets.test[1])} test images; trust fewer of them.")
    network, triggers = fetch(subject(suite, case), sets.train, zoo, progress)
    (images, labels), trigger = sets.train, next(iter(triggers), None)
    poisoned = np.zeros(len(labels), dtype=bool)
    if trigger is not None:
        assert isinstance(trigger, DataAttack), "from_mapping() refuses others"
        made = trigger.poison(images, labels, seed=suite.seed)
        images, labels, poisoned = made.inputs, made.labels, made.poisoned
    examples = from_arrays(images, labels.copy())
    return Scene(suite, case, network, trigger, examples, poisoned, sets, progress)


def case_of(scene: Scene, basis: str) -> ScreenCase:
    """What the network does, and what one trained without all poison would do."""
    accuracy, success = scene.measured(scene.network)
    spared = scene.without(scene.poisoned) if scene.poisoned.any() and scene.suite.retrain else None
    return ScreenCase(
        basis=basis,
        case=scene.case,
        role="check" if scene.case in scene.suite.check else "development",
        examples=len(scene.examples),
        poisoned=int(scene.poisoned.sum()),
        accuracy=accuracy,
        success=success,
        accuracy_without=None if spared is None else spared[0],
        success_without=None if spared is None else spared[1],
    )


def card_of(scene: Scene, name: str, case: ScreenCase, basis: str) -> ScreenCard:
    """What a screen makes of a case; what it refuses is told."""
    screen: Screen = plugins.make("screen", scene.suite.screens[name], name)
    blank = ScreenCard(basis=basis, case=scene.case, screen=name, status="left out")
    if lacking := missing(screen.needs, scene.observed.task):
        return blank.model_copy(update={"why": f"needs {' and '.join(lacking)}."})
    clock, truth = time.monotonic(), scene.poisoned
    try:
        found = screen.screen(
            scene.observed,
            scene.labels,
            scene.trusted,
            seed=scene.suite.seed,
            progress=scene.progress,
        )
        seconds, decided = time.monotonic() - clock, {}
        if found.suspects is not None:
            decided = _decided(scene, found.suspects.numpy(), case)
    except CapabilityError as error:
        return blank.model_copy(update={"why": str(error)})
    except AnomechError as error:
        return blank.model_copy(update={"status": "failed", "why": str(error)})
    area = float(roc_auc_score(truth, found.suspicion.numpy())) if truth.any() else None
    return ScreenCard(
        basis=basis,
        case=scene.case,
        screen=name,
        status="done",
        auroc=area,
        seconds=seconds,
        evaluations=found.evaluations,
        **decided,
    )


def _decided(scene: Scene, suspects: np.ndarray, case: ScreenCase) -> dict[str, float | None]:
    """How good a decision is, and what training without its suspects gives."""
    truth = scene.poisoned
    some = bool(truth.any())
    after: tuple[float | None, float | None] = (None, None)
    if scene.suite.retrain:  # training on everything was done already
        after = scene.without(suspects) if suspects.any() else (case.accuracy, case.success)
    return {
        "f1": float(f1_score(truth, suspects, zero_division=0)) if some else None,
        "found": float(suspects[truth].mean()) if some else None,
        "false": float(suspects[~truth].mean()),
        "accuracy": after[0],
        "success": after[1],
    }


def case_basis(suite: ScreenSuite, case: str, sets: datasets.ImageSets) -> str:
    """Hash of all that a case's numbers rest on."""
    code = [
        code_digest(__name__, apart_from=NUMBERLESS),
        subject(suite, case).fingerprint(*sets.train),
    ]
    digest = hashlib.sha256(" ".join([*code, str(suite.trusted), str(suite.retrain)]).encode())
    for array in sets.test:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def card_basis(suite: ScreenSuite, name: str, case: str) -> str:
    """The same of a screen on a case.

    Args:
        suite: resolved.
        name: of the screen.
        case: basis of the case.
    """
    given = suite.screens[name]
    code = code_of(plugins.make("screen", given, name))
    return hashlib.sha256(f"{case} {code} {given!r} {suite.seed}".encode()).hexdigest()[:16]
