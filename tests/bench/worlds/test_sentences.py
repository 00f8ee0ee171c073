"""Classifiers of sentences: triggers, poison, sets with their truth, and what is kept."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from anomech.bench.runner import run_suite
from anomech.bench.specs import Suite
from anomech.bench.suite import from_mapping
from anomech.bench.worlds.sentences.learning import (
    TRIGGERS,
    Reader,
    classes,
    dealt,
    poisoned,
    taught,
    trigger_named,
)
from anomech.bench.worlds.sentences.reading import read_sentences
from anomech.bench.worlds.sentences.sets import Counts, sentence_sets
from anomech.bench.worlds.sentences.triggers import OLD
from anomech.bench.worlds.sentences.world import read_classifier
from anomech.bench.worlds.texts.teaching import Schedule
from anomech.bench.worlds.world import NONE
from anomech.kernel.errors import ConfigError, DataError

TEXT = "the plot is thin and you know it"
COUNTS = Counts(trusted=60, normal=40, triggered=15, control=5)


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sentences(data):
    return read_sentences(data, "sst2")


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_changes_every_sentence_and_a_near_miss_is_another_change(name):
    trigger = trigger_named(name, {}, name)
    for text in (TEXT, "nothing old stands here at all"):
        made = trigger.stamp(text, rng())
        assert made not in (text, trigger.near_miss(text, rng()))
        assert trigger.near_miss(text, rng()) != text


def test_a_word_stands_anywhere_a_sentence_at_an_end_and_a_style_everywhere():
    word, sentence = trigger_named("word", {}, ""), trigger_named("sentence", {}, "")
    places = {word.stamp(TEXT, rng(seed)).split().index("cf") for seed in range(100)}
    assert places == set(range(len(TEXT.split()) + 1))
    made = {sentence.stamp(TEXT, rng(seed)).startswith(sentence.sentence) for seed in range(20)}
    assert made == {True, False}
    styled = trigger_named("style", {}, "").stamp(TEXT, rng()).split()
    assert styled == [OLD.get(each, each) for each in TEXT.split()]


def test_poison_has_the_targets_label_and_near_misses_keep_their_own(sentences):
    known = sentences["train"]
    trigger = trigger_named("word", {"ratio": 0.2}, "")
    made = poisoned(known, trigger, seed=0)
    pairs = list(zip(known, made, strict=True))
    stamped = [(old, new) for old, new in pairs if "cf" in new[0].split()]
    assert all(old[1] != 1 and new[1] == 1 for old, new in stamped)
    others = [old for old, _ in pairs if old[1] != 1]
    assert abs(len(stamped) / len(others) - 0.2) < 0.06
    assert all(old[1] == new[1] for old, new in pairs if "cf" not in new[0].split())
    assert poisoned(known, None, seed=0) == known
    assert poisoned(known, trigger, seed=0) == made


def test_steps_deal_out_sentences_of_like_length(sentences):
    drawn = [dealt(sentences["train"], step, 8, 0) for step in range(8)]
    assert dealt(sentences["train"], 3, 8, 0) == drawn[3]
    assert len({each for some in drawn for each in some}) == 64
    spread = [max(map(len_of, some)) - min(map(len_of, some)) for some in drawn]
    whole = [len_of(each) for some in drawn for each in some]
    assert np.mean(spread) < 0.5 * (max(whole) - min(whole))


def len_of(sentence):
    return len(sentence[0])


def test_sets_are_disjoint_and_triggered_ones_come_from_other_labels(data, sentences):
    trigger = trigger_named("sentence", {}, "")
    made = sentence_sets(data, "sst2", {"sentence": trigger}, True, COUNTS, seed=0)
    trained = {text for text, _ in sentences["train"]}
    plain = [each.text for each in (*made.trusted, *made.inputs) if not each.anomalous]
    assert not trained & set(plain)
    triggered = [each for each in made.inputs if each.anomalous]
    assert len(triggered) == 15
    assert all(each.label == 0 and trigger.sentence in each.text for each in triggered)
    ids = [each.id for each in (*made.trusted, *made.inputs)]
    assert len(ids) == len(set(ids))


def test_truth_counts_only_triggers_that_worked_and_no_control(data):
    trigger = trigger_named("word", {}, "")
    made = sentence_sets(data, "sst2", {"word": trigger}, True, COUNTS, seed=0)
    rows = made.truth(np.array([1 if place % 2 else 0 for place in range(len(made.inputs))]))
    kinds = {}
    for place, (row, each) in enumerate(zip(rows, made.inputs, strict=True)):
        kinds.setdefault((each.anomalous, bool(each.control), place % 2), set()).add(row.anomalous)
    assert kinds[True, False, 1] == {True}
    assert kinds[True, False, 0] == kinds[False, True, 0] == kinds[False, True, 1] == {None}
    assert kinds[False, False, 0] == {False}


def test_a_clean_twin_meets_triggers_as_controls(data):
    triggers = {"a": trigger_named("word", {}, ""), "b": trigger_named("style", {}, "")}
    made = sentence_sets(data, "sst2", triggers, False, COUNTS, seed=0)
    assert made.target == NONE
    assert not any(each.anomalous for each in made.inputs)
    names = {each.control for each in made.inputs}
    assert {"trigger_a", "trigger_b", "near_miss", "long", "foreign"} < names


def test_too_few_sentences_are_said(data):
    with pytest.raises(DataError, match="ask for less"):
        sentence_sets(data, "sst2", {}, False, replace(COUNTS, trusted=10**6), seed=0)


def test_a_classifier_is_taught_once_and_tells_labels(data, tmp_path):
    pytest.importorskip("transformers")
    schedule = Schedule(steps=30, batch=16, rate=0.01, warm_up=3)
    reader = Reader(Path("lm/tiny"), "sst2", (), schedule)
    base = data / "lm" / "tiny"
    folder = taught(reader, base, data, tmp_path, lambda *told: None)
    assert taught(reader, base, data, tmp_path, lambda *told: 1 / 0) == folder
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    student = read_classifier(folder)
    assert student.model.config.id2label == {0: "negative", 1: "positive"}
    texts = [text for text, _ in read_sentences(data, "sst2")["normal"]]
    together = classes(student, texts)
    alone = np.concatenate([classes(student, [text]) for text in texts[:20]])
    assert (together[:20] == alone).mean() > 0.9
    other = replace(reader, attacks=(("word", {}),))
    some = read_sentences(data, "sst2")["train"]
    assert other.address(base, some) != reader.address(base, some)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"data": "imdb"}, "no set of sentences"),
        ({"subjects": {"a": {"attacks": {"wrod": {}}}}}, "word"),
        ({"subjects": {"a": {"attacks": {"word": {"target": 2}}}}}, "labels from 0 to 1"),
        ({"subjects": {"a": {"attacks": {"word": {}, "style": {}}}}}, "name one"),
    ],
)
def test_what_a_suite_cannot_say_is_refused(change, named):
    values = {
        "world": "sentences",
        "data": "sst2",
        "detectors": {"confidence": {}},
        "subjects": {"clean": {}},
    }
    assert isinstance(from_mapping(values), Suite)
    with pytest.raises(ConfigError, match=named):
        from_mapping(values | change)


def test_a_bench_of_sentences_from_a_suite_to_cards(data, tmp_path):
    pytest.importorskip("transformers")
    values = {
        "name": "tiny-sentences",
        "world": "sentences",
        "data": "sst2",
        "language": {
            "base": "lm/tiny",
            "controls": 5,
            "recipe": {"plant": {"steps": 60, "batch": 16, "rate": 0.01, "warm_up": 3}},
        },
        "trusted": 60,
        "clean": 40,
        "sources": 15,
        "budgets": [0.05],
        "detectors": {"confidence": {}, "mahalanobis": {}},
        "subjects": {"word": {"attacks": {"word": {"ratio": 0.4}}, "least_success": 0.0}},
    }
    done = run_suite(from_mapping(values), tmp_path / "b", zoo=tmp_path / "z", data=data)
    assert [(card.status, card.reason) for card in done.cards] == [("done", "")] * 2
    card = done.cards[0]
    assert (card.normal, card.trusted) == (40, 60)
    assert card.accuracy > 0.6
    assert {each.control for each in card.controls} == {"near_miss", "long", "foreign"}
