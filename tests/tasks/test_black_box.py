"""A model that is asked and answers: judged as the network behind it is, where answers suffice."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.audit.auditor import Auditor
from anomech.data.images import from_arrays
from anomech.kernel.errors import CapabilityError, ConfigError, ModelError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.roles.black_box import Said, Sureness
from anomech.roles.source import Opened
from anomech.roles.task import Logits
from anomech.tasks.black_box import BlackBox, BlackBoxOptions
from anomech.tasks.image_classifier import ImageClassifier, ImageClassifierOptions

NAMES = ("dark", "middle", "bright")


class Brightness(nn.Module):
    """Three classes by the mean of the pixels."""

    def forward(self, images):
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([4 - 12 * mean, 2 - 8 * (mean - 0.5).abs(), 12 * mean - 8], dim=1)


class Oracle:
    """It answers in this process as a program would."""

    asked = "oracle"

    def __init__(self, form="probabilities", model=""):
        self.form, self.model = form, model

    def ask(self, images):
        pixels = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
        found = Brightness()(pixels).double().softmax(dim=1).numpy()
        labels = found.argmax(axis=1).tolist()
        if self.form == "probabilities":
            return Said(found, tuple(labels), self.model)
        return Said(None, tuple(NAMES[x] if self.form == "names" else x for x in labels))


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    level = np.repeat([30, 128, 220], 40)[:, None, None, None]
    return np.clip(level + rng.normal(0, 30, (120, 6, 6, 3)), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def trusted(images):
    return from_arrays(images, np.repeat([0, 1, 2], 40))


def test_probabilities_are_judged_as_the_logits_behind_them(images, trusted):
    open_ = observe(ImageClassifier(Brightness()), trusted)
    asked = observe(BlackBox(Oracle(), NAMES, batch=7).prepared(trusted), trusted)
    assert torch.equal(asked.answers, open_.answers)
    torch.testing.assert_close(asked.log_odds, open_.log_odds, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(asked.losses, open_.losses, rtol=1e-4, atol=1e-4)


def test_of_labels_only_the_sign_of_log_odds_says_something(images, trusted):
    task = BlackBox(Oracle("labels"), NAMES).prepared(trusted)
    own = task.respond({}, images[:5])
    assert own.log_odds.tolist() == [1.0] * 5
    assert task.respond({}, images[:5], own.answers + 1).log_odds.tolist() == [-1.0] * 5
    assert not {Logits, Sureness} & task.provides
    assert "labels and no probabilities" in task.remarks[0].title


def test_labels_may_be_names_of_classes(images, trusted):
    task = BlackBox(Oracle("names"), NAMES).prepared(trusted)
    assert torch.equal(task.respond({}, images).answers, torch.arange(3).repeat_interleave(40))
    with pytest.raises(ModelError, match="'dark', which is no class of the trusted examples"):
        BlackBox(Oracle("names"), ("a", "b")).respond({}, images)


def test_a_model_that_becomes_another_one_is_refused(images, trusted):
    task = BlackBox(Oracle(model="v1"), NAMES).prepared(trusted)
    task.model.model = "v2"
    with pytest.raises(ModelError, match="first with probabilities of 3 classes as 'v1' and now"):
        task.respond({}, images)


def test_weights_cannot_be_laid_over_it(images):
    with pytest.raises(CapabilityError, match="does not give weights that can be moved"):
        BlackBox(Oracle()).respond({"w": torch.zeros(1)}, images)


def test_what_it_showed_is_remembered(trusted):
    task = BlackBox(Oracle(), NAMES)
    known = task.knowing(task.prepared(trusted).knowledge())
    assert (known.classes, task.knowing(known.knowledge())) == (3, known)


@pytest.mark.parametrize(
    ("form", "detector", "why"),
    [
        ("labels", "strip", "detector strip needs logits, which this black box does not give"),
        ("labels", "confidence", "needs probabilities, which this black box does not give"),
        ("probabilities", "mahalanobis", "the input of the layer that gives the logits"),
        ("probabilities", "functional_attribution", "layers to watch"),
    ],
)
def test_what_answers_do_not_suffice_for_is_refused(trusted, form, detector, why):
    with pytest.raises(CapabilityError, match=why):
        Auditor(detector=detector, budget=0.1).fit(BlackBox(Oracle(form), NAMES), trusted)


@pytest.mark.parametrize("detector", ["teco", "scale_up", "prediction_consistency", "neo"])
def test_labels_suffice_and_answer_as_the_network_does(trusted, images, detector):
    cheap = {"teco": {"severities": 1}, "neo": {"boxes": 6, "carriers": 4}}.get(detector, {})
    auditor = Auditor(detector=detector, options=cheap, budget=0.1, access="labels")
    some = from_arrays(images[::20])
    rows = [
        auditor.fit(task, trusted).score(some, progress=silent)
        for task in (BlackBox(Oracle("labels"), NAMES), ImageClassifier(Brightness()))
    ]
    assert [each.score for each in rows[0]] == pytest.approx([each.score for each in rows[1]])


def test_less_access_than_a_detector_takes_is_refused_whatever_the_model_gives(trusted):
    task = ImageClassifier(Brightness())
    with pytest.raises(CapabilityError, match="strip takes probabilities and queries, and --acce"):
        Auditor(detector="strip", budget=0.1, access="labels").fit(task, trusted)
    with pytest.raises(ConfigError, match="access is one of labels, probabilities"):
        Auditor(access="everything")


def test_a_task_takes_no_model_of_the_other_kind():
    with pytest.raises(ModelError, match="this source opens a network"):
        BlackBoxOptions().wrap(Opened(Brightness(), "", {}), {})
    with pytest.raises(ModelError, match=r"use --set task\.use=black_box"):
        ImageClassifierOptions().wrap(Opened(Oracle(), "", {}), {})
