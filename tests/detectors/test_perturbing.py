"""Detectors that change inputs or parameters and look at what the model answers then."""

import numpy as np
import pytest
import torch

from anomech.audit.judge.detectors import make_detector
from anomech.data.subset import Subset
from anomech.detectors._entropy import entropy
from anomech.detectors.ibd_psc import amplified, normalizations
from anomech.detectors.neo import commonest
from anomech.detectors.scale_up import staying
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Response, silent
from anomech.learning.distilling import Distilling, distilled
from anomech.observing.observed import observe
from anomech.observing.varied import same_kind, varied
from anomech.tasks.image_classifier import ImageClassifier

COUNT = 24


@pytest.fixture(scope="module")
def trusted(digits_world):
    whole = observe(digits_world.task, digits_world.trusted)
    right = digits_world.task.agrees(whole.answers, digits_world.trusted.labels)
    return whole.take(np.flatnonzero(right.numpy()))


@pytest.fixture(scope="module")
def clean(digits_world):
    return observe(digits_world.task, Subset(digits_world.clean, np.arange(COUNT)))


@pytest.fixture(scope="module")
def fired(digits_world):
    """Triggered inputs that are led to the target."""
    whole = observe(digits_world.task, digits_world.planted)
    return whole.take(np.flatnonzero((whole.groups == 0).numpy())[:COUNT])


def fitted(name, trusted, **options):
    return make_detector(name, options).fit(trusted, seed=0, progress=silent)


def test_what_is_not_changed_is_answered_as_before(clean):
    again = varied(clean, None, lambda r, own: r.log_odds, stage="again", progress=silent)
    torch.testing.assert_close(again, clean.log_odds, rtol=1e-4, atol=1e-4)
    stays = varied(clean, None, same_kind(clean), stage="anew", progress=silent, judged=False)
    assert stays.tolist() == [1.0] * COUNT


def test_entropy_is_that_of_the_probabilities():
    p = torch.tensor([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0]]).double()
    found = entropy(Response(None, None, None, logits=(p + 1e-300).log()), None)
    assert found.tolist() == pytest.approx([1.5 * np.log(2), 0.0])


def test_strip_is_minus_the_mean_entropy_of_blends(trusted, clean, digits_world):
    strip = fitted("strip", trusted, blends=3)
    assert len(strip.others) == 3
    assert strip.evaluations == 3
    batch = clean.examples.load(np.arange(COUNT))
    expected = np.zeros(COUNT)
    for other in strip.others:
        blend = np.rint((batch.astype(float) + other) / 2).astype(np.uint8)
        p = digits_world.task.respond({}, blend).logits.double().softmax(1).numpy()
        expected -= -(p * np.log(p)).sum(1) / 3
    np.testing.assert_allclose(strip.score(clean, silent).score, expected, atol=1e-3)


def test_scale_up_counts_factors_and_compares_within_an_answer(trusted, clean, digits_world):
    batch = clean.examples.load(np.arange(COUNT))
    same = [
        digits_world.task.respond({}, np.minimum(batch.astype(int) * f, 255).astype(np.uint8))
        for f in (3, 7)
    ]
    expected = sum((each.answers == clean.answers).double() for each in same) / 2
    torch.testing.assert_close(staying(clean, (3.0, 7.0), silent), expected)
    found = fitted("scale_up", trusted, factors=(3.0, 7.0), least=5)
    own = trusted.take(np.flatnonzero((trusted.groups == clean.groups[0]).numpy()))
    usual = staying(own, (3.0, 7.0), silent)
    wanted = (expected[0] - usual.mean()) / (usual.std() + 0.1)
    assert float(found.score(clean, silent).score[0]) == pytest.approx(float(wanted), abs=1e-5)


def test_teco_is_the_spread_of_first_severities(trusted, clean, digits_world):
    task, place = digits_world.task, 3
    one = clean.take(np.array([place]))
    batch, first = one.examples.load(np.array([0])), []
    for kind in task.corruptions:
        changed = [
            severity
            for severity in range(1, 4)
            if int(task.respond({}, task.corrupted(batch, kind, severity, 0)).answers)
            != int(one.answers)
        ]
        first.append(changed[0] if changed else 4)
    found = fitted("teco", trusted, severities=3).score(one, silent).score
    assert float(found[0]) == pytest.approx(np.std(first))


def test_consistency_is_the_share_of_corruptions_that_change_the_answer(
    trusted, clean, digits_world
):
    task, one = digits_world.task, clean.take(np.array([0]))
    batch = one.examples.load(np.array([0]))
    changed = [
        int(task.respond({}, task.corrupted(batch, kind, 5, 0)).answers) != int(one.answers)
        for kind in task.corruptions
    ]
    found = fitted("prediction_consistency", trusted, severity=5).score(one, silent).score
    assert float(found[0]) == pytest.approx(np.mean(changed))


def test_scale_up_judges_by_all_where_no_answer_has_enough(trusted, clean):
    found = fitted("scale_up", trusted, least=1000)
    assert torch.isfinite(found.score(clean, silent).score).all()


def test_ibd_psc_amplifies_the_last_normalizations(trusted, digits_world):
    task = digits_world.task
    names = normalizations(task)
    assert names == ["bn1", "bn2"]
    overlay = amplified(task, names[-1:], 3.0)
    assert set(overlay) == {"bn2.weight", "bn2.bias"}
    torch.testing.assert_close(overlay["bn2.bias"], 3 * task.state()["bn2.bias"])
    lost = []
    for count in (1, 2):
        overlay = amplified(task, names[-count:], 3.0)
        answers = task.respond(overlay, trusted.examples.load(np.arange(len(trusted)))).answers
        lost.append(float((answers != trusted.answers).double().mean()))
    assert lost[0] < lost[1]  # a common factor before the last layer hardly changes an answer
    assert fitted("ibd_psc", trusted, factor=3.0, lost=(lost[0] + lost[1]) / 2).counts == [2]
    assert fitted("ibd_psc", trusted, factor=3.0, lost=1.0).counts == [2]  # none loses so much


def test_a_network_that_normalizes_nothing_is_refused(trusted):
    plain = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    task = ImageClassifier(plain)
    with pytest.raises(CapabilityError, match="has none"):
        fitted("ibd_psc", observe(task, Subset(trusted.examples, np.arange(20))))


def test_the_commonest_color_is_that_of_most_pixels():
    picture = torch.zeros(3, 4, 4)
    picture[:, 1:] = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    picture[:, 0] = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(commonest(picture), torch.tensor([0.2, 0.4, 0.6]))


@pytest.mark.parametrize(
    ("name", "options", "least"),
    [
        ("strip", {"blends": 12}, 0.7),
        ("neo", {"boxes": 40, "carriers": 12, "sizes": (0.25, 0.38)}, 0.8),
        ("sentinet", {"carriers": 12, "salient": 0.4}, 0.7),
    ],
)
def test_a_patch_ranks_above_clean_inputs(name, options, least, trusted, clean, fired):
    found = fitted(name, trusted, **options)
    low, high = (found.score(each, silent).score for each in (clean, fired))
    above, equal = high[:, None] > low, high[:, None] == low
    assert float((above + 0.5 * equal).mean()) > least


def test_a_distilled_mask_keeps_what_the_answer_needs():
    class Corner(torch.nn.Module):
        """Reads four pixels of a corner and nothing else."""

        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 2)
            self.linear.weight.data = torch.tensor([[30.0] * 4, [-30.0] * 4])

        def forward(self, images):
            return self.linear(images[:, 0, :2, :2].flatten(1))

    batch = np.full((3, 8, 8, 1), 255, np.uint8)
    batch[1:, 4:] = 9
    chosen = Distilling(steps=60)
    task = ImageClassifier(Corner())
    answers = task.respond({}, batch).answers
    masks = distilled(task, batch, answers, chosen, 0)
    assert masks[:, 0, :2, :2].min() > 0.8
    assert masks[:, 0, 4:, 4:].max() < 0.2
    torch.testing.assert_close(distilled(task, batch[:1], answers[:1], chosen, 0), masks[:1])
