"""Images of one part of a suite, with the networks that are attacked on them."""

import time
from dataclasses import dataclass
from pathlib import Path

from anomech.audit.load.loading import Loaded
from anomech.bench.cells import Cell
from anomech.bench.worlds.images.perturber import Perturber
from anomech.bench.worlds.images.scene import Material, scene
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.zoo import fetch, obtain
from anomech.bench.worlds.world import Staged
from anomech.kernel.types import Progress
from anomech.observing.observed import observe
from anomech.tasks.image_classifier import ImageClassifier


@dataclass(frozen=True, eq=False)
class ImageWorld:
    """See `anomech.bench.worlds.world.World`."""

    material: Material
    content: str

    def train(self, cell: Cell, zoo: Path, progress: Progress) -> None:
        """Train the classifier of a cell if it is not there, and see whether it is any good."""
        sets = self.material.sets
        obtain(
            _subject(cell),
            sets.train,
            sets.test,
            zoo,
            progress,
            least_success=cell.spec.least_success,
            device=cell.suite.device,
        )

    def stage(self, cell: Cell, zoo: Path, progress: Progress) -> Staged:
        """The classifier with trusted images and inputs."""
        suite, sets, subject = cell.suite, self.material.sets, _subject(cell)
        model, triggers = fetch(subject, sets.train, zoo, progress, device=suite.device)
        address = subject.fingerprint(*sets.train)
        attacked = ImageClassifier(model, device=suite.device)
        perturber = Perturber(attacked, address, cell.seed, zoo / "perturbed", progress)
        made = scene(self.material, cell, triggers, perturber)
        task = ImageClassifier(model, device=suite.device, precision=suite.precision)
        title = f"{cell.case}: {suite.data}, {subject.label}, seed {cell.seed}"
        clock = time.monotonic()
        observe(task, made.inputs)
        plain_seconds = time.monotonic() - clock
        options = {"device": suite.device, "precision": suite.precision}
        loaded = Loaded(task, made.trusted, made.inputs, title)
        return Staged(loaded, made.truth, options, plain_seconds)


def _subject(cell: Cell) -> Subject:
    """The classifier of a cell, which the kind of this world has made."""
    assert isinstance(cell.network, Subject)
    return cell.network
