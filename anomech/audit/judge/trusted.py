"""Using the trusted set: which examples become anchors, which calibrate, which are left out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from anomech.audit.probing import normalization
from anomech.audit.probing.confidence import level
from anomech.audit.probing.coverage import covered
from anomech.audit.probing.minority import Doubtful, Minority, minority
from anomech.audit.probing.order import probe as probe_order
from anomech.audit.probing.verdicts import require_sound
from anomech.data.splits import stratified
from anomech.kernel.errors import DataError, Inconclusive
from anomech.kernel.types import About, Engine, Examples, Progress, about
from anomech.observing.observed import Observed, observe
from anomech.roles.task import Features, Logits, Task

MISANSWERED = "the model does not answer it as labeled"
UNCOVERED = "too few trusted examples have its answer"
DOUBTFUL = "it lies with a few others apart from the rest of its class"


@dataclass(frozen=True)
class TrustedSplit:
    """The trusted set in its two roles.

    Attributes:
        anchors: examples the model answers as labeled; methods learn from them.
        calibration: kept out of the anchors and as they come, right or wrong, so that they look
            like traffic.
        left_out: ids that are in neither role, with the reason.
        everything: the whole trusted set, in its order.
        right: whether each is answered as labeled, bool `[n]`; all are if there are no labels.
        labeled: whether there are labels.
        anchor_places: of the anchors, int64.
        rest: places of the calibration examples, int64.
        judged: places of all whose answers are covered, int64.
        covered: groups of answers that enough anchors share, ascending int64; None is all.
        minority: a small group within a class that lies apart from the rest of it; None if there
            is none.
    """

    anchors: Observed
    calibration: Observed
    left_out: Mapping[str, str]
    everything: Observed
    right: Tensor
    labeled: bool
    anchor_places: Tensor
    rest: Tensor
    judged: Tensor
    covered: Tensor | None = None
    minority: Minority | None = None

    @property
    def accuracy(self) -> float | None:
        """Share of it that the model answers as labeled; None if there are no labels."""
        return float(self.right.double().mean()) if self.labeled else None

    def on(self, engine: Engine | None) -> "TrustedSplit":
        """The same, with independent parts of work on an engine."""
        return replace(
            self,
            anchors=replace(self.anchors, engine=engine),
            calibration=replace(self.calibration, engine=engine),
            everything=replace(self.everything, engine=engine),
        )


@dataclass(frozen=True)
class TrustedSet:
    """What is remembered of the trusted set: who was in it and in which role, but no example.

    Attributes:
        ids: of all examples, in their order.
        digests: of their content.
        answers: the model's own, in words.
        kinds: the coarse kind of each answer, in words.
        labels: in words, or None.
        anchors: places of the anchors.
        calibration: places of the calibration examples.
        left_out: ids that are in neither role, with the reason.
        misanswered: places of all that the model does not answer as labeled.
        doubtful: places of a small group that lies apart from the rest of its class.
        about: what the task remembers of them for inputs to come.
        unsure: log-odds below which an answer is less sure than those of nearly all of them.
    """

    ids: tuple[str, ...]
    digests: tuple[str, ...]
    answers: tuple[str, ...]
    kinds: tuple[str, ...]
    labels: tuple[str, ...] | None
    anchors: tuple[int, ...]
    calibration: tuple[int, ...]
    left_out: Mapping[str, str]
    misanswered: tuple[int, ...]
    doubtful: tuple[int, ...]
    about: About
    unsure: float

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def accuracy(self) -> float | None:
        """Share of all that the model answers as labeled; None if there are no labels."""
        return None if self.labels is None else 1 - len(self.misanswered) / len(self.ids)


def remembered(split: TrustedSplit) -> TrustedSet:
    """What stays of a trusted set when everything is fitted."""
    everything = split.everything
    examples, task = everything.examples, everything.task
    places = {name: place for place, name in enumerate(examples.ids)}
    labels = examples.labels
    return TrustedSet(
        ids=tuple(examples.ids),
        digests=tuple(examples.digests()),
        answers=tuple(task.words(everything.answers)),
        kinds=tuple(task.group_words(everything.groups)),
        labels=None if labels is None else tuple(task.label_words(labels)),
        anchors=tuple(places[name] for name in split.anchors.examples.ids),
        calibration=tuple(places[name] for name in split.calibration.examples.ids),
        left_out=dict(split.left_out),
        misanswered=tuple(torch.nonzero(~split.right)[:, 0].tolist()),
        doubtful=() if split.minority is None else tuple(split.minority.places.tolist()),
        about=about(examples),
        unsure=level(everything.log_odds.tolist()),
    )


def split_trusted(
    task: Task,
    reference: Examples,
    *,
    share: float,
    most: int,
    seed: int,
    progress: Progress,
    doubtful: Doubtful = "keep",
) -> TrustedSplit:
    """Observe the trusted set and split it by label and seed.

    Args:
        task: the model.
        reference: trusted examples; without labels the model's own answers to them are trusted.
        share: of each kind of answer that goes to the anchors.
        most: anchors at the most; attribution compares all pairs of them. What is over calibrates.
        seed: of the split.
        progress: told about the forward pass.
        doubtful: what becomes of a small group that lies apart from the rest of its class.

    Raises:
        DataError: the trusted set has labels that the model cannot give.
        Inconclusive: the model answers few trusted examples as labeled.
    """
    observed, labels = observe(task, reference, progress=progress), reference.labels
    right, keys = _answered(observed, labels)
    share = min(share, most / len(reference))
    apart = _minority(observed, keys, seed)
    aside = np.zeros(len(reference), bool)
    if apart is not None and doubtful == "leave_out":
        aside[apart.places.numpy()] = True
    parts = stratified(keys, [share, 1 - share], seed=seed, purpose="trusted")
    chosen, calibration = (part[~aside[part]] for part in parts)
    anchors = chosen[right[chosen]]
    _require_right(anchors, right)
    known, covers = _coverage(observed, anchors, ~aside)
    left_out = {reference.ids[i]: MISANSWERED for i in chosen[~right[chosen]]}
    left_out |= {reference.ids[i]: DOUBTFUL for i in np.flatnonzero(aside).tolist()}
    left_out |= {reference.ids[i]: UNCOVERED for i in (*anchors, *calibration) if not covers[i]}
    anchors, calibration = anchors[covers[anchors]], calibration[covers[calibration]]
    if not len(anchors):
        raise Inconclusive(
            "no class has enough trusted examples to learn from; give at least four of each "
            "class that is to be judged."
        )
    return TrustedSplit(
        anchors=observed.take(anchors),
        calibration=observed.take(calibration),
        left_out=left_out,
        everything=observed,
        right=torch.from_numpy(right),
        labeled=labels is not None,
        anchor_places=torch.from_numpy(anchors),
        rest=torch.from_numpy(calibration),
        judged=torch.from_numpy(np.flatnonzero(covers)),
        covered=known,
        minority=apart,
    )


def _answered(observed: Observed, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Whether examples are answered as labeled, and what kind each is of; by answers if unlabeled.

    Raises:
        DataError: the trusted set has labels that the model cannot give.
    """
    own = observed.groups.numpy()
    if labels is None:
        return np.ones(len(observed), bool), own
    _check_labels(observed, labels)
    _check_order(observed, labels)
    right = observed.task.agrees(observed.answers, labels).numpy()
    return right, labels if labels.ndim == 1 else own


def _require_right(anchors: np.ndarray, right: np.ndarray) -> None:
    """Refuse a trusted set that the model hardly answers as labeled."""
    if len(anchors) < 2:
        raise Inconclusive(
            f"the model answers only {int(right.sum())} of {len(right)} trusted examples as "
            "labeled, too few to learn from; check that they belong to this model and reach it as "
            "in its training: labels in the model's order, the same normalization or prompt."
        )


def _coverage(
    observed: Observed, anchors: np.ndarray, usable: np.ndarray
) -> tuple[Tensor | None, np.ndarray]:
    """Answers that enough anchors share, and which usable examples have one, bool `[n]`."""
    if Logits not in observed.task.provides:
        return None, usable
    known = covered(observed.groups[torch.from_numpy(anchors)])
    return known, usable & torch.isin(observed.groups, known).numpy()


def _minority(observed: Observed, keys: np.ndarray, seed: int) -> Minority | None:
    """A small group within a class of a classifier that lies apart, if features show one."""
    if not {Logits, Features} <= observed.task.provides or keys.ndim != 1:
        return None
    return minority(observed.features, torch.from_numpy(keys.astype(np.int64)), seed)


def _check_order(observed: Observed, labels: np.ndarray) -> None:
    """Refuse labels that do not belong to the answers of a classifier."""
    if Logits not in observed.task.provides or labels.ndim != 1:
        return
    names = observed.task.label_words(np.arange(observed.logits.shape[1]))
    found = probe_order(observed.groups.numpy(), labels, names)
    if found and (better := normalization.probe(observed, labels)):
        why = f"{better[0].title}. {better[0].detail}"
        found = [found[0].model_copy(update={"detail": why, "action": better[0].action})]
    require_sound(found)


def _check_labels(observed: Observed, labels: np.ndarray) -> None:
    if Logits not in observed.task.provides or labels.ndim != 1:
        return
    classes = observed.logits.shape[1]
    if int(labels.max()) >= classes:
        raise DataError(
            f"the trusted set has label {int(labels.max())}, but the model has {classes} classes, "
            f"0 to {classes - 1}; check the labels or the model."
        )
