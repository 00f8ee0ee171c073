"""Shadow networks: the model's architecture trained anew on trusted examples, with triggers or not.

MNTD and ULP learn from them what a planted network is like.

A trigger is drawn from the jumbo distribution of Xu, Wang, Li, Borisov, Gunter, Li 2021: a patch
anywhere or a faint picture over all, `x' = (1 - m) x + m ((1 - a) p + a x)`, with random pattern,
place, transparency, share of poison and target. They are kept in a folder under a hash of all that
decides them, so that both scanners, and later scans of the same architecture, train them once.
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from anomech.kernel.config import option, options, resolved
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import key, numpy_generator, torch_generator
from anomech.kernel.types import Examples, Overlay, Progress, silent
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.learning.laid import Laid
from anomech.learning.training import initialize
from anomech.roles.detector import ObservedExamples
from anomech.roles.task import (
    Ability,
    DifferentiableInputs,
    Layers,
    Logits,
    Task,
    Training,
    able,
)

NEEDS: frozenset[Ability] = frozenset({DifferentiableInputs, Layers, Logits, Training})
"""What training shadows and asking them needs of a task."""

FEWEST = 50
"""Trusted examples that a network can be trained on at all."""

KINDS = ("clean", "planted")


@options
class ShadowZoo:
    """How many networks are trained, and how."""

    each: int = option(
        12, "networks with a trigger, and as many without; the papers use hundreds to thousands",
        unit="networks", ge=2,
    )  # fmt: skip
    training: Relearning = option(
        Relearning(epochs=15, rate=0.05), "how each is trained, from fresh weights"
    )
    examples: int = option(500, "trusted examples at the most", unit="examples", ge=10)
    folder: str = option("", "where they are kept for other scans; empty keeps none")


@dataclass(frozen=True)
class Shadows:
    """Networks of the model's architecture, as tensors to lay over it.

    Attributes:
        clean: trained on trusted examples as they are.
        planted: trained with a trigger.
        evaluations: forward passes that training them took; none if they were kept.
    """

    clean: Sequence[Overlay]
    planted: Sequence[Overlay]
    evaluations: float

    @property
    def labeled(self) -> list[tuple[Overlay, float]]:
        """All, with 1 for those with a trigger; the kinds in turn."""
        pairs = zip(self.clean, self.planted, strict=True)
        return [each for c, p in pairs for each in ((c, 0.0), (p, 1.0))]


def shadows(
    task: Task, trusted: ObservedExamples | None, zoo: ShadowZoo, *, seed: int, progress: Progress
) -> Shadows:
    """Train the networks, or find them in the zoo's folder.

    Raises:
        DataError: no trusted examples, too few of them, or without labels.
    """
    if trusted is None or trusted.examples.labels is None or len(trusted) < FEWEST:
        raise DataError(
            f"shadow networks are trained on trusted examples with labels; give {FEWEST} at least."
        )
    order = numpy_generator(seed, "shadows").permutation(len(trusted))[: zoo.examples]
    some = trusted.take(np.sort(order))
    path = Path(zoo.folder) / f"{_address(task, some.examples, zoo, seed)}.safetensors"
    if zoo.folder and path.exists():
        kept = _split(load_file(path), zoo.each)
        progress("training shadows", 2 * zoo.each, 2 * zoo.each)
        return Shadows(kept["clean"], kept["planted"], 0.0)
    found: dict[str, list[Overlay]] = {kind: [] for kind in KINDS}
    spent, done = 0.0, 0
    for number in range(zoo.each):
        for kind in KINDS:
            overlay, passes = _trained(task, some, zoo, kind, key(seed, "shadow", number))
            found[kind].append(overlay)
            spent, done = spent + passes, done + 1
            progress("training shadows", done, 2 * zoo.each)
    if zoo.folder:
        _keep(path, found)
    return Shadows(found["clean"], found["planted"], spent)


def _trained(
    task: Task, some: ObservedExamples, zoo: ShadowZoo, kind: str, seed: int
) -> tuple[Overlay, float]:
    """One network, and the forward passes it took."""
    network = copy.deepcopy(able(task, Layers).layers()[""])
    initialize(network, seed)
    fresh = task.with_(network.state_dict())
    given = some.examples.labels
    assert given is not None, "shadows() asked for labels"
    labels, examples = given.copy(), some.examples
    if kind == "planted":
        examples, labels = _poisoned(task, examples, labels, seed)
    answers = able(fresh, Training).targets(labels)
    lesson = Lesson(fresh, examples, answers, zoo.training.statistics)
    made = descend(
        fresh.watched, len(examples), plainly(lesson), zoo.training, seed=seed, progress=silent
    )
    # All of it: parameters that are not watched are those of a fresh network, too.
    return {**fresh.state(), **made.overlay}, made.evaluations


def _poisoned(
    task: Task, examples: Examples, labels: np.ndarray, seed: int
) -> tuple[Examples, np.ndarray]:
    """Examples and labels with a trigger drawn from the jumbo distribution."""
    rng, space = numpy_generator(seed, "jumbo"), able(task, DifferentiableInputs)
    shape = space.embed(examples.load(np.zeros(1, np.int64))).shape[1:]
    mask = torch.zeros(shape)
    if rng.random() < 0.5:  # a patch
        corner, ends = [], []
        for size in shape[1:]:
            side = int(rng.integers(max(1, size // 8), max(2, size // 3) + 1))
            corner.append(int(rng.integers(0, size - side + 1)))
            ends.append(corner[-1] + side)
        place = (slice(None), *(slice(a, b) for a, b in zip(corner, ends, strict=True)))
        mask[place] = float(rng.uniform(0.7, 1.0))
    else:
        mask[:] = float(rng.uniform(0.1, 0.35))
    pattern = torch.rand(shape, generator=torch_generator(seed, "jumbo pattern"))
    device = next(iter(task.state().values())).device
    mask, pattern = mask.to(device), pattern.to(device)
    where = rng.random(len(labels)) < rng.uniform(0.1, 0.4)
    labels = np.where(where, int(rng.integers(able(task, Logits).classes)), labels)

    def stamp(points: Tensor) -> Tensor:
        return (1 - mask) * points + mask * pattern

    return Laid(space, examples, stamp, where), labels


def logits_at(task: Task, overlay: Overlay, queries: Tensor, batch: Any) -> Tensor:
    """Logits `[queries, classes]` of a network at points; differentiable in the points."""
    response = able(task, DifferentiableInputs).respond_at(overlay, queries, batch)
    assert response.logits is not None, "the task gives logits"
    return response.logits


def _address(task: Task, examples: Examples, zoo: ShadowZoo, seed: int) -> str:
    """A hash of all that decides the networks; where they are kept does not."""
    network = able(task, Layers).layers()[""]
    shapes = [(name, tuple(each.shape)) for name, each in task.state().items()]
    options_ = {**resolved(zoo), "folder": ""}
    text = repr((str(network), shapes, sorted(options_.items()), seed, list(examples.digests())))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keep(path: Path, found: Mapping[str, Sequence[Overlay]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {
        f"{kind}.{number}.{name}": tensor.detach().cpu().contiguous()
        for kind, overlays in found.items()
        for number, overlay in enumerate(overlays)
        for name, tensor in overlay.items()
    }
    partial = path.with_name(f".{path.name}.partial")
    save_file(tensors, partial)
    partial.replace(path)


def _split(tensors: Mapping[str, Tensor], each: int) -> dict[str, list[Overlay]]:
    found: dict[str, list[dict[str, Tensor]]] = {k: [{} for _ in range(each)] for k in KINDS}
    for address, tensor in tensors.items():
        kind, number, name = address.split(".", 2)
        found[kind][int(number)][name] = tensor
    return {kind: list(overlays) for kind, overlays in found.items()}
