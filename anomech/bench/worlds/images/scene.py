"""What a cell judges: trusted images, normal inputs and anomalous ones, with the truth of each.

Test images are split once a seed into trusted, clean and source images; every detector gets the
same ones, and so does every subject. No image is chosen by its true label or by what the network
answers. Whether a trigger or a perturbation worked shows in the answers, afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from anomech.bench.cells import Cell
from anomech.bench.specs import Methods, Suite
from anomech.bench.worlds.images.datasets import ImageSets
from anomech.bench.worlds.images.perturber import Perturber
from anomech.bench.worlds.world import NONE
from anomech.data.images import ImageExamples, from_arrays
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.records.scorecards import TruthRow
from anomech.roles.attack import Trigger


@dataclass(frozen=True, eq=False)
class Inputs:
    """Inputs of one kind.

    Attributes:
        images: uint8 `[n, h, w, c]`.
        ids: `[n]`.
        labels: true ones, int64 `[n]`; `NONE` where there are none.
        anomalous: whether they are meant as anomalies.
        wanted: answers that anomalies have if they worked, int64 `[n]`; `NONE` means any.
        avoided: answers that they do not have if they worked, int64 `[n]`; `NONE` means none.
    """

    images: np.ndarray
    ids: list[str]
    labels: np.ndarray
    anomalous: bool = False
    wanted: np.ndarray | None = None
    avoided: np.ndarray | None = None

    def truth(self, answers: np.ndarray) -> list[TruthRow]:
        """What is known once the network's answers int64 `[n]` are."""
        worked = np.ones(len(answers), bool)
        if self.wanted is not None:
            worked &= answers == self.wanted
        if self.avoided is not None:
            worked &= answers != self.avoided
        return [
            TruthRow(
                id=name,
                anomalous=(True if did else None) if self.anomalous else False,
                right=bool(answer == label),
            )
            for name, did, answer, label in zip(self.ids, worked, answers, self.labels, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything an audit of a cell works on, but for the network.

    Attributes:
        trusted: with labels.
        kinds: of inputs, in their order.
    """

    trusted: ImageExamples
    kinds: tuple[Inputs, ...]

    @property
    def inputs(self) -> ImageExamples:
        """All inputs, without labels."""
        names = [name for kind in self.kinds for name in kind.ids]
        return from_arrays(np.concatenate([kind.images for kind in self.kinds]), ids=names)

    def truth(self, answers: np.ndarray) -> list[TruthRow]:
        """What is known of all inputs once the network's answers int64 `[n]` are."""
        ends = np.cumsum([len(kind.ids) for kind in self.kinds])
        parts = np.split(answers, ends[:-1])
        return [
            row for kind, part in zip(self.kinds, parts, strict=True) for row in kind.truth(part)
        ]


@dataclass(frozen=True, eq=False)
class Material:
    """What all cells of a part of a suite are made from.

    Attributes:
        suite: that part.
        sets: its data set.
        foreign: images of other data sets, by name.
    """

    suite: Suite
    sets: ImageSets
    foreign: Mapping[str, np.ndarray]


def check_sizes(suite: Suite, available: int) -> None:
    """Refuse a suite that asks for more test images than there are.

    Raises:
        DataError: says how many there are.
    """
    most = max([suite.trusted, *(each.trusted for each in suite.conditions.values())])
    asked = most + suite.clean + suite.sources
    if asked > available:
        raise DataError(
            f"the suite asks for {asked} test images ({most} trusted, {suite.clean} clean, "
            f"{suite.sources} to be made anomalous), but {suite.data} has {available}; lower one "
            "of them, such as with --set clean=1000."
        )


def scene(
    material: Material, cell: Cell, triggers: Sequence[Trigger], perturber: Perturber
) -> Scene:
    """The trusted set and the inputs of a cell.

    Args:
        material: suite and data.
        cell: says what they are subjected to.
        triggers: what is planted in the network.
        perturber: holds the network.
    """
    suite, under = material.suite, cell.under
    images, labels = material.sets.test
    order = numpy_generator(cell.seed, "bench", "split").permutation(len(labels))
    sources, clean, rest = np.split(order, [suite.sources, suite.sources + suite.clean])
    normal = perturber.changed(under.shift, images[clean], labels[clean])
    kinds = [Inputs(normal, _names("clean", clean), labels[clean])]
    if under.foreign:
        kinds.append(_foreign(material, cell))
    elif under.perturbation:
        shifted = perturber.changed(under.shift, images[sources], labels[sources])
        kinds.append(_perturbed(perturber, under.perturbation, shifted, labels[sources], sources))
    elif triggers:
        shifted = perturber.changed(under.shift, images[sources], labels[sources])
        for (name, _), trigger in zip(cell.network.attacks, triggers, strict=True):
            kinds.append(_triggered(material, name, trigger, shifted, sources))
    trusted = rest[: under.trusted or suite.trusted]
    return Scene(_trusted(material, cell, triggers, trusted), tuple(kinds))


def _trusted(
    material: Material, cell: Cell, triggers: Sequence[Trigger], places: np.ndarray
) -> ImageExamples:
    """Trusted images; a share of them has the first trigger and its label."""
    images, labels = (part[places] for part in material.sets.test)
    if cell.under.contaminated:
        goal, classes = triggers[0].goal, material.sets.classes
        candidates = np.flatnonzero(goal.tested_on(labels, classes))
        chosen = candidates[: round(cell.under.contaminated * len(places))]
        images[chosen] = triggers[0].stamp(images[chosen])
        labels[chosen] = goal.labels(labels[chosen], classes)
    return from_arrays(images, labels, _names("trusted", places))


def _triggered(
    material: Material, name: str, trigger: Trigger, images: np.ndarray, places: np.ndarray
) -> Inputs:
    """Stamped images of the classes that a trigger is meant for, less its target."""
    labels, classes = material.sets.test[1][places], material.sets.classes
    meant = trigger.goal.tested_on(labels, classes)
    return Inputs(
        images=trigger.stamp(images[meant]),
        ids=_names(name, places[meant]),
        labels=labels[meant],
        anomalous=True,
        wanted=trigger.goal.labels(labels[meant], classes),
    )


def _perturbed(
    perturber: Perturber,
    methods: Methods,
    images: np.ndarray,
    labels: np.ndarray,
    places: np.ndarray,
) -> Inputs:
    """Images moved away from the network's own answers; it worked where the answer changed."""
    answers = perturber.answers(images)
    return Inputs(
        images=perturber.changed(methods, images, answers),
        ids=_names(next(iter(methods)), places),
        labels=labels,
        anomalous=True,
        avoided=answers,
    )


def _foreign(material: Material, cell: Cell) -> Inputs:
    """As many images of another data set as there are sources."""
    images = material.foreign[cell.under.foreign]
    rng = numpy_generator(cell.seed, "bench", "foreign", cell.under.foreign)
    places = rng.permutation(len(images))[: material.suite.sources]
    none = np.full(len(places), NONE)
    return Inputs(images[places], _names("foreign", places), none, anomalous=True)


def _names(kind: str, places: np.ndarray) -> list[str]:
    return [f"{kind}-{place:05d}" for place in places.tolist()]
