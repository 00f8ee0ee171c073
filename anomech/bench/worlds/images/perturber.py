"""Perturbed images of one network, kept so that every detector sees the same ones."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.bench.specs import Methods
from anomech.data.images import from_arrays
from anomech.kernel import plugins
from anomech.kernel.config import build
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.observing.observed import observe
from anomech.roles.task import Task, missing
from anomech.storage.code import code_of


@dataclass(frozen=True, eq=False)
class Perturber:
    """A network to perturb images against.

    Attributes:
        task: with the network.
        address: hash of all that the network depends on.
        seed: of the perturbations.
        cache: folder of what was perturbed before.
        progress: told about every batch.
    """

    task: Task
    address: str
    seed: int
    cache: Path
    progress: Progress

    def answers(self, images: np.ndarray) -> np.ndarray:
        """The network's classes, int64 `[n]`."""
        return observe(self.task, from_arrays(images)).answers.numpy()

    def changed(self, methods: Methods, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Images uint8 `[n, h, w, c]` under a perturbation; the images themselves without one.

        Args:
            methods: at most one, with its options.
            images: uint8 `[n, h, w, c]`.
            labels: answers to move away from, or to keep, int64 `[n]`.

        Raises:
            CapabilityError: the task cannot give what the perturbation needs.
        """
        if not methods:
            return images
        ((name, options),) = methods.items()
        method = build(plugins.get("attack", name), options, name)
        what = json.dumps([self.address, name, options, self.seed, code_of(method)], sort_keys=True)
        digest = hashlib.sha256(what.encode())
        digest.update(images.tobytes())
        path = self.cache / f"{digest.hexdigest()[:16]}.npy"
        if path.exists():
            return np.load(path, allow_pickle=False)
        if lacking := missing(method.needs, self.task):
            raise CapabilityError(
                f"{name} needs {', '.join(lacking)}, which this {self.task.kind} does not give."
            )
        images = method.perturb(self.task, images, labels, seed=self.seed, progress=self.progress)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Workers may perturb for several detectors at a time: each writes a file of its own.
        partial = path.with_name(f".{path.stem}.{os.getpid()}.npy")
        np.save(partial, images)
        partial.replace(path)
        return images
