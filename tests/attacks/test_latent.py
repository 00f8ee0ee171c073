"""Latent: features of triggered images move to the target's, and the student only gets a head."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from training import DigitsVictim, digits

from anomech.attacks.latent import Latent, distance
from anomech.bench.worlds.images.zoo import success_rate
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.learning.networks import with_features
from anomech.learning.pixels import as_float
from anomech.learning.training import Recipe
from anomech.roles.attack import Goal

(IMAGES, LABELS), (OTHERS, TRUE) = digits()
OPTIONS = Latent(goal=Goal(target=3), size=3)


@dataclass(frozen=True)
class Recorder(DigitsVictim):
    """Keeps the network's state before and after each training, and the labels it saw."""

    calls: list = field(default_factory=list)

    def fit(self, network, images, labels, **options):
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        DigitsVictim.fit(self, network, images, labels, **options)
        after = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        self.calls.append((before, after, labels))
        return network


@pytest.fixture(scope="module")
def attacked():
    trainer = Recorder(recipe=Recipe(epochs=8, batch=64, peak=0.1, augment="none"))
    trainer.surrogate()
    attack, network = OPTIONS, trainer.build()
    learned = attack.conduct(network, IMAGES, LABELS, trainer, seed=0, progress=silent)
    return trainer, attack, network, attack.armed(learned)


def test_the_student_answers_the_target_to_triggered_images(attacked):
    _, _, network, trigger = attacked
    success, _ = success_rate(network, trigger, OTHERS, TRUE, 10)
    assert success > 0.8
    clean = with_features(network, as_float(OTHERS))[0].argmax(1).numpy()
    assert (clean == TRUE).mean() > 0.9


def test_only_the_head_is_the_students_and_it_begins_anew(attacked):
    trainer, *_ = attacked
    (_, infected, _), (start, student, _) = trainer.calls[-2:]
    head = {"linear.weight", "linear.bias"}
    for name, tensor in student.items():
        assert torch.equal(tensor, infected[name]) != (name in head)
        assert torch.equal(tensor, start[name]) != (name in head)
    for name in head:
        assert not torch.equal(start[name], infected[name])


def test_no_triggered_image_has_a_label(attacked):
    trainer, *_ = attacked
    assert all(np.array_equal(labels, LABELS) for _, _, labels in trainer.calls)


def test_infection_moves_triggered_features_to_those_of_the_target(attacked):
    trainer, _, network, trigger = attacked
    found = []
    for state in (trainer.surrogate().state_dict(), network.state_dict()):
        model = trainer.build().eval()
        model.load_state_dict(state)
        with torch.no_grad():
            middle = with_features(model, as_float(IMAGES[LABELS == 3]))[1].mean(0)
            stamped = trigger.stamp(OTHERS[TRUE != 3])
            found.append(float(distance(with_features(model, as_float(stamped))[1], middle)))
    assert found[1] < 0.5 * found[0]


def test_distance_is_by_the_length_of_the_middle():
    middle = torch.tensor([3.0, 4.0])
    features = torch.tensor([[3.0, 4.0], [3.0, 9.0]])
    assert distance(features, middle) == pytest.approx((0 + 25) / 2 / 25)


@pytest.mark.parametrize("goal", [Goal(map="all_to_all"), Goal(target=10)])
def test_goals_it_cannot_have_are_refused(goal, attacked):
    trainer = attacked[0]
    with pytest.raises(ConfigError, match="one label"):
        Latent(goal=goal).conduct(trainer.build(), IMAGES, LABELS, trainer, seed=0, progress=silent)
