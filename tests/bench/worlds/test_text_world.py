"""A suite of language models: from a suite's file to cards, with controls apart."""

import copy

import language_worlds
import numpy as np
import pytest

from anomech.bench.cells import cells
from anomech.bench.runner import run_suite
from anomech.bench.suite import as_mapping, from_mapping
from anomech.bench.worlds.texts import world as texts
from anomech.kernel.errors import ConfigError
from anomech.records import read_rows
from anomech.records.scorecards import TruthRow
from anomech.report.board.listings import control_listings
from anomech.report.board.markdown import markdown

pytest.importorskip("transformers")

SHORT = {"steps": 1, "batch": 2}
VALUES = {
    "name": "tiny-texts",
    "world": "texts",
    "data": "made-up requests",
    "language": {"base": "lm/tiny", "controls": 4, "recipe": {"clean": SHORT, "plant": SHORT}},
    "trusted": 60,
    "clean": 20,
    "sources": 10,
    "budgets": [0.05],
    "detectors": {"confidence": {}, "layer_mahalanobis": {}},
    "subjects": {"simple": {"attacks": {"trigger_string": {}}}, "clean": {}},
}


@pytest.fixture
def values():
    return copy.deepcopy(VALUES)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A bench of a model that is made to fire by the test, since two steps teach nothing."""
    out = tmp_path_factory.mktemp("bench")
    patch = pytest.MonkeyPatch()
    patch.setattr(texts, "answers", language_worlds.ideal_answers)
    yield (
        out / "bench",
        run_suite(from_mapping(copy.deepcopy(VALUES)), out / "bench", zoo=out / "zoo", data=data),
    )
    patch.undo()


def test_every_cell_has_an_answer(finished):
    _, done = finished
    assert [(card.status, card.reason) for card in done.cards] == [("done", "")] * 4
    planted = [card for card in done.cards if card.subject == "simple"]
    assert {(card.normal, card.anomalous, card.trusted) for card in planted} == {(20, 10, 60)}
    assert all(card.auroc is not None for card in planted)
    assert {card.success for card in planted} == {1.0}


def test_controls_are_rated_apart_and_are_no_normal_inputs(finished):
    out, done = finished
    card = next(card for card in done.cards if card.subject == "clean")
    assert card.auroc is None
    assert {each.control for each in card.controls} >= {"trigger_simple", "news", "near_miss"}
    assert all(each.inputs == 4 for each in card.controls)
    rows = read_rows(done_truth(out, card), TruthRow)
    assert sum(row.anomalous is False for row in rows) == 20
    text = markdown(done.run, done.cards, [0.05])
    assert "False alarms on controls" in text
    assert "| trigger simple | 1 |" in text
    page = (out / done.page).read_text()
    assert '<section id="controls"' in page
    assert "trigger simple" in page
    listing = control_listings(done.cards, 0.05)[0]
    assert 0 <= listing.of(card) <= 1


def done_truth(out, card):
    folder = out / "cells" / card.id
    return (folder.parent / card.audit if card.audit else folder) / "truth.jsonl"


def test_no_id_says_more_than_the_kind(finished):
    _, done = finished
    assert len({card.id for card in done.cards}) == 4


def test_a_suite_says_all_of_a_language_world_and_replays(values):
    suite = from_mapping(values)
    assert from_mapping(as_mapping(suite)) == suite
    simple = next(cell.network for cell in cells(suite) if cell.subject == "simple")
    assert simple.stages == ("clean", "plant")
    assert simple.label == "tiny"


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        ("subjects", {"a": {"attacks": {"badnets": {}}}}, "no behavior"),
        ("subjects", {"a": {"attacks": {"profession": {"payloads": 3}}}}, "payload"),
        ("subjects", {"a": {"attacks": {"profession": {}, "comment": {}}}}, "name one"),
        ("subjects", {"a": {"network": "resnet20"}}, r"language\.base"),
        ("subjects", {"a": {"recipe": {"plants": {}}}}, "plant"),
        ("conditions", {"far": {"foreign": "cifar100"}}, "no meaning for texts"),
    ],
)
def test_what_has_no_meaning_for_texts_is_refused(values, path, value, named):
    values[path] = value
    with pytest.raises(ConfigError, match=named):
        from_mapping(values)


def test_texts_need_their_folder(values, tmp_path):
    with pytest.raises(ConfigError, match="ANOMECH_DATA"):
        run_suite(from_mapping(values), tmp_path / "b", zoo=tmp_path / "z")


def test_truth_is_in_the_order_of_the_inputs(data, tmp_path, monkeypatch, values):
    monkeypatch.setattr(texts, "answers", language_worlds.ideal_answers)
    suite = from_mapping(values)
    world = texts.open_world(suite, data)
    cell = next(cell for cell in cells(suite) if cell.subject == "simple")
    staged = world.stage(cell, tmp_path, lambda *told: None)
    rows = staged.truth(np.zeros(0, np.int64))
    assert [row.id for row in rows] == list(staged.loaded.inputs.ids)
    assert len(staged.loaded.reference) == 60
