"""What leads every input to one class stands out, and what chance does counts against it."""

import numpy as np
import pytest
import torch

from anomech.calibration.models import from_own_classes
from anomech.data.images import from_arrays
from anomech.data.subset import Subset
from anomech.kernel.errors import CapabilityError, DataError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.scanners._universal import Sizes
from anomech.scanners.maximum_margin import MaximumMargin
from anomech.scanners.universal_perturbation import UniversalPerturbation, usual_distance
from anomech.scanners.universal_warp import UniversalWarp
from anomech.tasks.image_classifier import ImageClassifier

METHODS = (MaximumMargin(), UniversalPerturbation())


@pytest.fixture
def trusted(digits_world):
    return observe(digits_world.task, Subset(digits_world.trusted, np.arange(100)))


def test_the_usual_distance_is_that_from_the_mean():
    points = torch.tensor([[0.0, 0.0], [6.0, 8.0]])
    assert usual_distance(points) == pytest.approx(5.0)
    assert usual_distance(points[:1]) > 0


def test_a_patch_gives_its_target_the_widest_margin(digits_world, trusted):
    scan = MaximumMargin().scan(digits_world.task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 0  # a 2x2 patch leads to class 0
    rest = scan.statistic[1:]
    assert scan.statistic[0] > rest.max() + rest.std()


class Altered(torch.nn.Module):
    """A network with more in its logits."""

    def __init__(self, model, more):
        super().__init__()
        self.model, self.more = model, more

    def forward(self, x):
        return self.model(x) + self.more(x)


def altered(world, more):
    """The world's network with a function added to its logits, as a task that has seen inputs."""
    return ImageClassifier(Altered(world.model, more).eval()).prepared(world.trusted)


def toward(target, by):
    return by * torch.nn.functional.one_hot(torch.tensor(target), 10)


def test_a_faint_pattern_that_leads_to_a_class_stands_out(digits_world, trusted):
    pattern = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0)) / 8
    points = digits_world.task.embed(trusted.examples.load(np.arange(100)))
    usual = (points * pattern).sum((1, 2, 3))

    def planted(x):
        seen = ((x * pattern).sum((1, 2, 3)) - usual.mean()) / usual.std()
        return toward(6, 12 * torch.nn.functional.softplus(seen - 1)[:, None])

    task = altered(digits_world, planted)
    scan = UniversalPerturbation().scan(task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 6
    assert from_own_classes(scan.statistic).value < 0.01
    clean = UniversalPerturbation().scan(digits_world.task, trusted, seed=0, progress=silent)
    assert from_own_classes(clean.statistic).value > 0.05


def test_a_bias_towards_a_class_is_no_trigger(digits_world, trusted):
    """It leads inputs to the class by chance as much as by search."""
    method = UniversalPerturbation(sizes=Sizes(doublings=0))
    plain = method.scan(digits_world.task, trusted, seed=0, progress=silent)
    task = altered(digits_world, lambda x: toward(5, 12.0))
    biased = method.scan(task, trusted, seed=0, progress=silent)
    assert biased.facts["highest log-odds"] > plain.facts["highest log-odds"] + 1
    assert abs(float(biased.statistic[5] - plain.statistic[5])) < 1


def test_a_network_that_does_not_read_its_inputs_has_no_trigger(digits_world, trusted):
    class Deaf(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.last = torch.nn.Linear(64, 10)

        def forward(self, x):
            return 0 * self.last(x.flatten(1)) + torch.linspace(0, 0.3, 10)

    task = ImageClassifier(Deaf().eval()).prepared(digits_world.trusted)
    scan = UniversalPerturbation().scan(
        task, observe(task, digits_world.trusted), seed=0, progress=silent
    )
    assert any("moves any answer" in problem for problem in scan.health.problems)


def test_sizes_grow_until_a_usual_class_is_reached(digits_world, trusted):
    def size(sizes):
        method = UniversalPerturbation(sizes=sizes)
        return method.scan(digits_world.task, trusted, seed=0, progress=silent).facts["size"]

    assert size(Sizes(smallest=0.01, doublings=1)) == pytest.approx(0.02)
    assert size(Sizes(smallest=1.0, doublings=3)) == pytest.approx(1.0)
    # four times as much leads more than half of the inputs to the median class
    assert size(Sizes(smallest=0.5, doublings=3, enough=0.9, most=1.0)) > 0.5
    assert size(Sizes(smallest=0.5, doublings=3, enough=0.9, most=0.3)) < 4.0


@pytest.mark.parametrize("method", METHODS)
def test_candidates_are_what_was_measured(digits_world, trusted, method):
    scan = method.scan(digits_world.task, trusted, seed=0, progress=silent)
    points = digits_world.task.embed(trusted.examples.load(np.arange(5)))
    for candidate in scan.candidates.values():
        assert candidate.apply(points).shape == points.shape
    assert from_own_classes(scan.statistic) is not None


@pytest.mark.parametrize("method", METHODS)
def test_inputs_that_cannot_be_changed_are_refused(digits_world, trusted, method):
    class Sentences(ImageClassifier):
        def embed(self, batch):
            return super().embed(batch).flatten(2)

        def project(self, points):
            return points

    with pytest.raises(CapabilityError):
        method.scan(Sentences(digits_world.model), trusted, seed=0, progress=silent)
    with pytest.raises(DataError):
        method.scan(digits_world.task, None, seed=0, progress=silent)


class Larger(torch.nn.Module):
    """A network of pictures of 8x8 pixels, given larger ones; it may answer to a shift."""

    def __init__(self, model, shifted):
        super().__init__()
        self.model, self.shifted = model, shifted

    def forward(self, x):
        small = torch.nn.functional.avg_pool2d(x, 4)
        columns = torch.linspace(-1, 1, x.shape[-1])
        # The balance of a picture's left and right, in twentieths of its light.
        balance = (x * columns).sum((1, 2, 3)) / x.sum((1, 2, 3)).clamp_min(1e-3) / 0.05
        answer = torch.nn.functional.softplus(balance - 2)[:, None]
        return self.model(small) + toward(6, self.shifted * answer)


def enlarged(world, shifted):
    images = world.trusted.load(np.arange(100))
    examples = from_arrays(images.repeat(4, axis=1).repeat(4, axis=2), world.trusted.labels[:100])
    task = ImageClassifier(Larger(world.model, shifted).eval()).prepared(examples)
    return task, observe(task, examples)


def test_a_class_that_a_shift_leads_to_stands_out(digits_world):
    task, trusted = enlarged(digits_world, 30.0)
    scan = UniversalWarp().scan(task, trusted, seed=0, progress=silent)
    assert int(scan.statistic.argmax()) == 6
    assert from_own_classes(scan.statistic).value < 0.01
    task, trusted = enlarged(digits_world, 0.0)
    scan = UniversalWarp().scan(task, trusted, seed=0, progress=silent)
    assert from_own_classes(scan.statistic).value > 0.05


def test_pictures_that_are_too_small_to_bend_are_refused(digits_world, trusted):
    with pytest.raises(CapabilityError, match="16x16 pixels or more"):
        UniversalWarp().scan(digits_world.task, trusted, seed=0, progress=silent)
