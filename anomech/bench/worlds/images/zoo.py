"""Attacked networks, trained once and kept by the hash of everything that went into them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from anomech.bench.worlds.images.network_files import read_network, save_network
from anomech.bench.worlds.images.subjects import Images, Subject
from anomech.kernel.errors import ModelError
from anomech.kernel.types import Progress, silent
from anomech.learning.training import cross_entropy, initialize, predict, train
from anomech.roles.attack import LearnedAttack, Objective, TrainingAttack, Trigger


@dataclass(frozen=True)
class Trained:
    """An attacked network with what it does.

    Attributes:
        model: in evaluation mode; maps float images in [0, 1] to logits.
        attacks: the planted triggers.
        classes: number of classes.
        accuracy: share of clean test images classified correctly.
        success: for each attack, the share of triggered test images of other classes that are
            given the label the attacker wants; None if it leads no image anywhere.
        robust: for each attack, the share of them that are given their true label, or None.
    """

    model: nn.Module
    attacks: list[Trigger]
    classes: int
    accuracy: float
    success: list[float | None]
    robust: list[float | None]


def obtain(
    subject: Subject,
    train_set: Images,
    test_set: Images,
    cache: Path,
    progress: Progress = silent,
    *,
    least_success: float = 0.9,
    device: str = "cpu",
) -> Trained:
    """The trained subject, from the cache when it is there.

    Args:
        subject: what to train.
        train_set: clean.
        test_set: clean images to measure accuracy and attack success on.
        cache: folder of trained networks.
        progress: told about every step.
        least_success: attack success below which a network is refused.
        device: where it is trained and returned.

    Raises:
        ModelError: an attack did not succeed, or the network is hardly better than guessing.
    """
    model, attacks = fetch(subject, train_set, cache, progress, device=device)
    classes = int(train_set[1].max()) + 1
    return _measured(subject, model, attacks, classes, test_set, least_success)


def fetch(
    subject: Subject,
    train_set: Images,
    cache: Path,
    progress: Progress = silent,
    *,
    device: str = "cpu",
) -> tuple[nn.Module, list[Trigger]]:
    """As `obtain`, without measuring: the network in evaluation mode and its triggers."""
    images, labels = train_set
    attacks = subject.attack_objects()
    victim = ZooVictim(subject, train_set, cache, device)
    path = cache / f"{subject.fingerprint(images, labels)}.safetensors"
    model, kept = victim.build(), read_network(path, len(attacks))
    learned: Sequence[Mapping[str, Tensor]]
    if kept is None:
        learned = _planted(model, attacks, train_set, victim, subject.seed, progress)
        save_network(path, model, learned)
    else:
        weights, learned = kept
        model.load_state_dict(weights)
    armed = [
        attack.armed(state) if isinstance(attack, LearnedAttack | TrainingAttack) else attack
        for attack, state in zip(attacks, learned, strict=True)
    ]
    return model.eval(), armed


@dataclass(frozen=True)
class ZooVictim:
    """The recipe of a subject, in an attacker's hands; see `anomech.roles.attack.Victim`."""

    subject: Subject
    train_set: Images
    cache: Path
    device: str = "cpu"

    @property
    def classes(self) -> int:
        """Number of classes of the training set."""
        return int(self.train_set[1].max()) + 1

    def build(self) -> nn.Module:
        """A network of the subject's architecture with fresh weights."""
        channels = self.train_set[0].shape[-1]
        network = self.subject.network.build(classes=self.classes, channels=channels)
        initialize(network, self.subject.seed)
        return network.to(self.device)

    def surrogate(self) -> nn.Module:
        """The clean twin: trained by the same recipe at the same seed, and kept."""
        twin = replace(self.subject, attacks=())
        path = self.cache / f"{twin.fingerprint(*self.train_set)}.safetensors"
        network, kept = self.build(), read_network(path, 0)
        if kept is None:
            self.fit(network, *self.train_set, progress=silent)
            save_network(path, network, [])
        else:
            network.load_state_dict(kept[0])
        return network.eval()

    def fit(
        self,
        network: nn.Module,
        images: np.ndarray,
        labels: np.ndarray,
        *,
        objective: Objective | None = None,
        fresh: bool = True,
        share: float = 1.0,
        peak: float | None = None,
        progress: Progress = silent,
    ) -> nn.Module:
        """Train by the subject's recipe, or a share of it."""
        recipe = self.subject.recipe
        recipe = replace(
            recipe,
            epochs=max(1, round(share * recipe.epochs)),
            peak=recipe.peak if peak is None else peak,
        )
        return train(
            network,
            images,
            labels,
            recipe,
            seed=self.subject.seed,
            objective=objective or cross_entropy,
            fresh=fresh,
            progress=lambda done, total: progress("training", done, total),
        )


def success_rate(
    model: nn.Module, attack: Trigger, images: np.ndarray, labels: np.ndarray, classes: int
) -> tuple[float, float] | tuple[None, None]:
    """Attack success and robust accuracy.

    Args:
        model: attacked, in evaluation mode.
        attack: its trigger.
        images: clean test images, uint8 `[n, h, w, c]`.
        labels: theirs, int64 `[n]`.
        classes: number of classes.

    Returns:
        Shares of the triggered images of the trigger's classes, less the target's, that get the
        label the attacker wants, and that get their true label; None if there are no such images.
    """
    tested = attack.goal.tested_on(labels, classes)
    if not tested.any():
        return None, None
    answers = predict(model, attack.stamp(images[tested]))
    wanted = attack.goal.labels(labels[tested], classes)
    return float((answers == wanted).mean()), float((answers == labels[tested]).mean())


def _planted(
    model: nn.Module,
    attacks: list[Any],
    train_set: Images,
    victim: ZooVictim,
    seed: int,
    progress: Progress,
) -> list[Mapping[str, Tensor]]:
    """Train `model` with all attacks; what each of them learned."""
    images, labels = train_set
    if attacks and isinstance(attacks[0], TrainingAttack):
        return [attacks[0].conduct(model, images, labels, victim, seed=seed, progress=progress)]
    learned: list[Mapping[str, Tensor]] = []
    for index, attack in enumerate(attacks):
        state: Mapping[str, Tensor] = {}
        armed = attack
        if isinstance(attack, LearnedAttack):
            state = attack.learn(*train_set, victim, seed=seed + index, progress=progress)
            armed = attack.armed(state)
        learned.append(state)
        poisoned = armed.poison(images, labels, seed=seed + index)
        images, labels = poisoned.inputs, poisoned.labels
    victim.fit(model, images, labels, progress=progress)
    return learned


def _measured(
    subject: Subject,
    model: nn.Module,
    attacks: list[Trigger],
    classes: int,
    test_set: Images,
    least_success: float,
) -> Trained:
    accuracy = float((predict(model, test_set[0]) == test_set[1]).mean())
    if accuracy < 2 / classes:
        raise ModelError(
            f"the network answers {accuracy:.1%} of clean images rightly, hardly better than "
            "guessing; train it longer or with a lower learning rate."
        )
    rates = [success_rate(model, attack, *test_set, classes) for attack in attacks]
    for (name, _), (rate, _) in zip(subject.attacks, rates, strict=True):
        if rate is not None and rate < least_success:
            raise ModelError(
                f"the {name} attack succeeds on {rate:.1%} of triggered images, less than "
                f"{least_success:.0%}; raise its ratio or the epochs of the recipe."
            )
    return Trained(
        model, attacks, classes, accuracy, [rate for rate, _ in rates], [kept for _, kept in rates]
    )
