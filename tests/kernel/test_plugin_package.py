"""Another package joins by entry points: each of its methods is found, described and used."""

import importlib

import numpy as np
import pytest
from plugin_package import TOYS, announce, installed, toy_points

from anomech.audit.judge.detectors import make_detector
from anomech.bench.worlds.images import datasets
from anomech.data.subset import Subset
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.storage.code import sources

FOUND = [
    (group.removeprefix("anomech.").removesuffix("s"), name)
    for group, entries in toy_points().items()
    for name in entries
]
KINDS = {"detector", "screen", "scanner", "mitigation", "explainer", "architecture", "dataset"}


@pytest.fixture
def toys(tmp_path):
    """The toy package, as if it were installed."""
    announce(tmp_path, "anomech-toys", toy_points())
    with installed(TOYS, tmp_path):
        yield


@pytest.fixture
def world(digits_world):
    """A task and some observed examples."""
    trusted = observe(digits_world.task, Subset(digits_world.trusted, np.arange(40)))
    return digits_world.task, trusted


def test_there_is_a_toy_of_each_kind():
    assert {kind for kind, _ in FOUND} == KINDS


@pytest.mark.parametrize(("kind", "name"), FOUND)
def test_each_is_found_by_its_name_like_our_own(toys, kind, name):
    assert name in plugins.names(kind)
    method = plugins.get(kind, name)()
    assert plugins.name_of(kind, method) == name
    assert plugins.label(kind, method) == name
    assert type(method).__name__ == plugins.class_name(name)
    assert type(method).__module__ in sources(type(method).__module__)


def test_a_screen_is_used(toys, world):
    labels = np.array([0] * 37 + [1] * 3)
    screen = plugins.make("screen", {"use": "rare_labels", "rare": 4}, "screen")
    found = screen.screen(world[1], labels, None, seed=0, progress=silent)
    assert found.suspects.tolist() == [False] * 37 + [True] * 3


def test_a_scanner_is_used(toys, world):
    scan = plugins.get("scanner", "favorite_answer")().scan(*world, seed=0, progress=silent)
    assert float(scan.statistic.sum()) == pytest.approx(1)
    assert scan.groups.tolist() == sorted(set(world[1].groups.tolist()))


def test_a_mitigation_is_used(toys, world):
    task, trusted = world
    repair = plugins.get("mitigation", "dampening")(factor=0.5).mitigate(
        task, trusted, None, seed=0, progress=silent
    )
    twin = task.with_(repair.overlay)
    for name, tensor in task.watched.items():
        assert (twin.watched[name] == 0.5 * tensor).all()


def test_an_explainer_is_used(toys, world):
    found = plugins.get("explainer", "loud_features")().explain(
        world[1], world[1], seed=0, progress=silent
    )
    assert (found.units["features"] == 0).all()


def test_an_architecture_and_a_data_set_are_used(toys):
    sets = datasets.load("stripes", None)
    assert sets.classes == 2
    assert sets.train[0].shape == (200, 8, 8, 1)
    network = plugins.get("architecture", "one_layer")().build(classes=2, channels=1)
    assert network[1].out_features == 2


def test_a_detector_is_used(toys, world):
    detector = make_detector("answer_number", {"factor": 3.0})
    fitted = detector.fit(world[1], seed=0, progress=silent)
    assert fitted.score(world[1], silent).score.tolist() == [3.0 * g for g in world[1].groups]
    with pytest.raises(ConfigError, match="did you mean 'factor'"):
        make_detector("answer_number", {"factr": 1})


def test_without_the_package_its_methods_are_gone():
    for kind, name in FOUND:
        assert name not in plugins.names(kind)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("anomech_toys")
