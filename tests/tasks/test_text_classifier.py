"""A text classifier as a task: encoders and decoders, classes by number and by name."""

import numpy as np
import pytest
import torch
from language_models import END, NAMES, PAD, byte_tokenizer, classifier, saved

from anomech.data.texts import Text, Texts, read_texts
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.roles.task import DifferentiableInputs, Features, Logits, missing
from anomech.sources.hugging_face import HuggingFace
from anomech.tasks.text_classifier import TextClassifier, TextClassifierOptions
from anomech.tracing.gradient import Gradient
from anomech.tracing.last_layer import LastLayer

TEXTS = ("bad", "a rather good film", "ok", "the worst of all films, or nearly", "Ünïcode 漢字")
EVERY = np.arange(len(TEXTS))


@pytest.fixture(scope="module")
def tokenizer():
    return byte_tokenizer()


@pytest.fixture(scope="module", params=["bert", "llama"])
def task(request, tokenizer):
    return TextClassifier(classifier(request.param), tokenizer, tuple(NAMES.values()))


@pytest.fixture(scope="module")
def some():
    return Texts(tuple(Text(each) for each in TEXTS), [str(place) for place in EVERY])


def test_who_else_is_in_a_batch_changes_no_score(task, some):
    together = task.respond({}, some.load(EVERY))
    assert together.logits.shape == (len(TEXTS), 3)
    for place in EVERY:
        own = task.respond({}, some.load(np.array([place])))
        torch.testing.assert_close(own.logits[0], together.logits[place], atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(own.features[0], together.features[place], atol=2e-5, rtol=1e-4)


def test_logits_are_those_of_the_model(task, some, tokenizer):
    found = task.respond({}, some.load(EVERY[:1])).logits
    ids = tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    torch.testing.assert_close(found, task.model.eval()(ids).logits.detach(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("watch", ["linear", "all"])
def test_every_gradient_rule_agrees_with_automatic_differentiation(task, some, watch):
    task = TextClassifier(task.model, task.tokenizer, watch=watch)
    answers = task.respond({}, some.load(EVERY)).answers
    source = Gradient(features=0).fit(task, some, answers, seed=0, progress=silent)
    found, place = source.answer(some, silent), 3
    overlay = {n: tensor.detach().requires_grad_() for n, tensor in task.watched.items()}
    one = some.load(np.array([place]))
    value = task.respond(overlay, one, answers[place : place + 1]).log_odds.sum()
    slopes = torch.autograd.grad(value, list(overlay.values()), allow_unused=True)
    by_name = {
        name: torch.zeros_like(overlay[name]) if slope is None else slope
        for name, slope in zip(overlay, slopes, strict=True)
    }
    expected = torch.cat([by_name[n].flatten() for names in source.parts.values() for n in names])
    close = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(found.values[place], expected, atol=close, rtol=1e-2)


def test_the_last_layer_alone_can_be_traced(task, some):
    assert missing(LastLayer().needs, task) == []
    answers = task.respond({}, some.load(EVERY)).answers
    traces = LastLayer().fit(task, some, answers, seed=0, progress=silent)
    assert torch.isfinite(traces(some, answers, silent).values).all()


def test_it_says_what_it_can_do_after_it_was_tried(task, some):
    ready = prepared(task, some)
    assert {Logits, Features} <= ready.provides
    # A decoder finds its last token by the padding, which points have not.
    works = "Bert" in type(task.model).__name__
    assert (DifferentiableInputs in ready.provides) == works
    assert TextClassifier(task.model, task.tokenizer).knowing(ready.knowledge()).seen == ready.seen
    if works:
        batch = some.load(EVERY)
        assert ready.realize(ready.embed(batch), batch) == batch


def test_classes_are_numbers_or_names_that_the_model_has(task, some, tmp_path):
    answers = observe(task, some).answers
    by_name = np.array([[list(NAMES.values())[each].lower()] for each in answers], object)
    assert task.agrees(answers, by_name).all()
    assert task.agrees(answers, answers.numpy()).all()
    assert task.label_words(by_name)[0] in ("negative", "neutral", "positive")
    with pytest.raises(DataError, match="no class 'odd'"):
        task.agrees(answers[:1], np.array([["odd"]], object))
    path = tmp_path / "some.tsv"
    path.write_text("text\tlabel\ngood\tpositive\n\t\nbad\tNEGATIVE\n")
    found = read_texts(path)
    assert found.labels.tolist() == [["positive"], ["NEGATIVE"]]
    assert [(each.what, each.count) for each in found.remarks] == [("without a text", 1)]
    path.write_text("text\tlabel\ngood\t1\nbad\t0\n")
    assert read_texts(path).labels.tolist() == [1, 0]


def test_texts_that_are_too_long_are_cut_and_it_is_said(tokenizer):
    task = TextClassifier(classifier("bert", max_position_embeddings=24), tokenizer)
    some = Texts((Text("x" * 100), Text("short")), ["a", "b"])
    ready = prepared(task, some)
    assert [each.code for each in ready.remarks] == ["texts-cut"]


def test_a_model_of_numbers_is_no_classifier(tokenizer):
    with pytest.raises(ModelError, match="gives a number"):
        TextClassifier(classifier("bert", problem_type="regression"), tokenizer)


def test_a_folder_brings_the_names_of_classes(tmp_path, tokenizer):
    folder = saved(tmp_path / "bert", classifier("bert"), tokenizer)
    opened = HuggingFace(folder=str(folder)).open()
    task = TextClassifierOptions().wrap(opened, {})
    assert tuple(task.class_names) == tuple(NAMES.values())
    assert (PAD, END) == (0, 1)
