"""A profile judges as what it was saved from, without the trusted examples, and only its model."""

import copy
import json
import pickle

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from anomech.audit.auditor import Auditor, load_profile
from anomech.audit.judge.piece import Piece, Shared, judge_chunk, light
from anomech.audit.judge.verdicts import anchor_names
from anomech.audit.load.saved import HEADER, read_saved, write_saved
from anomech.data.subset import Subset
from anomech.engines.processes import Processes
from anomech.kernel import plugins
from anomech.kernel.errors import CapabilityError, DataError, ModelError
from anomech.roles.task import Training
from anomech.tasks.image_classifier import ImageClassifier

TRACERS = {
    "gradient": {"features": 16, "parts": 3},
    "gaussian": {"draws": 12, "least": 2},
    "last_layer": {},
}
CHEAP = {"rungs": 1, "steps": 6}
"""Twins that are there, and few lessons."""

FROM_TRUSTED = {
    "sgld": {"draws": 4, "burn_in": 0, "every": 1, "minibatch": 20, "least": 0},
    "rmsprop_sgld": {"draws": 4, "burn_in": 0, "minibatch": 20, "least": 0},
}


def auditor(name="functional_attribution", **options):
    return Auditor(detector=name, options=options, budget=0.05)


def some(world, count=40):
    return Subset(world.clean, np.arange(count))


def assert_same(fresh, restored, inputs):
    """Every number of every verdict, to the last bit."""
    assert [row.model_dump() for row in restored.score(inputs)] == [
        row.model_dump() for row in fresh.score(inputs)
    ]


@pytest.fixture(scope="module")
def fitted(digits_world):
    tracer = {"use": "gradient", **TRACERS["gradient"]}
    return auditor(tracer=tracer, twins=CHEAP).fit(digits_world.task, digits_world.trusted)


@pytest.fixture
def saved(fitted, tmp_path):
    fitted.save(tmp_path / "one.safetensors")
    return tmp_path / "one.safetensors"


def test_classes_judged_apart_are_kept(digits_world, tmp_path):
    labels = digits_world.trusted.labels
    keep = np.concatenate([np.flatnonzero(labels != 0), np.flatnonzero(labels == 0)[:6]])
    task, trusted = digits_world.task, Subset(digits_world.trusted, np.sort(keep))
    fresh = auditor(tracer=TRACERS["gradient"], twins=CHEAP).fit(task, trusted)
    assert "judged-apart" in {each.code for each in fresh.findings}
    fresh.save(tmp_path / "it.safetensors")
    restored = load_profile(tmp_path / "it.safetensors", task)
    assert_same(fresh, restored, Subset(digits_world.planted, np.arange(20)))


UNSAVED = {"pyod"}
"""What it learned is of another library's kind."""


@pytest.mark.parametrize("name", plugins.names("detector"))
def test_every_detector_judges_alike_from_its_profile(name, world, tmp_path):
    cheap = {}
    if name == "functional_attribution":
        cheap = {"tracer": TRACERS["gradient"], "twins": CHEAP}
    try:
        fresh = auditor(name, **cheap).fit(world.task, world.trusted)
    except CapabilityError:
        return  # refused by this world
    if name in UNSAVED:
        with pytest.raises(CapabilityError, match="cannot be saved"):
            fresh.save(tmp_path / "it.safetensors")
        return
    fresh.save(tmp_path / "it.safetensors")
    restored = load_profile(tmp_path / "it.safetensors", world.task)
    assert_same(fresh, restored, some(world))
    residuals = fresh.calibrated.residuals
    assert residuals is None or torch.equal(residuals, restored.calibrated.residuals)


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_tracer_comes_back_with_its_projections_and_draws(tracer, digits_world, tmp_path):
    options = {"tracer": {"use": tracer, **TRACERS[tracer]}}
    fresh = auditor("coupling_score", **options).fit(digits_world.task, digits_world.trusted)
    fresh.save(tmp_path / "it.safetensors")
    assert_same(
        fresh, load_profile(tmp_path / "it.safetensors", digits_world.task), some(digits_world)
    )


@pytest.mark.parametrize("tracer", [*FROM_TRUSTED, "gaussian"])
def test_draws_that_are_made_from_trusted_examples_cannot_be_saved(tracer, digits_world, tmp_path):
    options = FROM_TRUSTED.get(tracer) or {**TRACERS[tracer], "normalization": "recalibrated"}
    if Training not in digits_world.task.provides:
        pytest.skip("no training statistics")
    fresh = auditor("coupling_score", tracer={"use": tracer, **options}).fit(
        digits_world.task, digits_world.trusted
    )
    with pytest.raises(CapabilityError, match=r"draws\.(trusted|batches).*cannot be saved"):
        fresh.save(tmp_path / "it.safetensors")
    assert not list(tmp_path.iterdir())


def test_the_trusted_examples_are_not_in_the_file(saved, digits_world):
    facts, tensors = read_saved(saved)
    shape = digits_world.trusted.load(np.arange(1)).shape[1:]
    assert not any(tuple(tensor.shape[1:]) == shape for tensor in tensors.values())
    assert set(facts["trusted"]["ids"]) == set(digits_world.trusted.ids)


def test_workers_judge_a_profile_as_this_process_does_what_was_fitted(saved, fitted, digits_world):
    restored = load_profile(saved, digits_world.task)
    pieces = [Piece(i, Subset(digits_world.clean, np.arange(i, i + 12)), "") for i in (0, 12)]

    def shared(one):
        kept = {"it": light(one.calibrated)}
        return Shared(one.task, kept, "it", anchor_names(one.fitted.trusted), "", 0.0)

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        here = [judge_chunk(shared(fitted), piece) for piece in pieces]
    finally:
        torch.set_num_threads(before)
    there = list(Processes(workers=1).map(judge_chunk, shared(restored), pieces))
    for (one, residuals), (two, others) in zip(here, there, strict=True):
        assert (one.scores, one.verdicts) == (two.scores, two.verdicts)
        assert torch.equal(residuals, others)


def test_a_profile_can_be_saved_again(saved, digits_world, tmp_path):
    restored = load_profile(saved, digits_world.task)
    restored.save(tmp_path / "two.safetensors")
    one, two = read_saved(saved), read_saved(tmp_path / "two.safetensors")
    assert one[0] == two[0]
    assert all(torch.equal(tensor, two[1][name]) for name, tensor in one[1].items())


def test_another_model_is_refused(saved, digits_world):
    model = copy.deepcopy(digits_world.model)
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    with pytest.raises(ModelError, match="fitted to another model"):
        load_profile(saved, ImageClassifier(model))


def rewritten(path, change):
    """The file with its facts and tensors changed and a digest that is right again."""
    facts, tensors = read_saved(path)
    facts = {key: facts[key] for key in facts if key not in ("schema", "anomech")}
    change(facts, tensors)
    write_saved(path, facts, tensors)


def drop_tensor(facts, tensors):
    tensors.pop(next(iter(tensors)))


@pytest.mark.parametrize(
    "change",
    [
        drop_tensor,
        lambda facts, tensors: facts.update(detectors={}),
        lambda facts, tensors: facts.update(lead=["no"]),
        lambda facts, tensors: facts["sources"][0].update(tracer={"use": "os.system"}),
        lambda facts, tensors: facts["sources"][0].update(state={}),
        lambda facts, tensors: facts["trusted"].update(anchors=["a"]),
        lambda facts, tensors: facts.pop("trusted"),
    ],
)
def test_a_hostile_file_with_a_right_digest_is_refused_in_one_sentence(saved, digits_world, change):
    rewritten(saved, change)
    with pytest.raises(DataError, match=r"one\.safetensors is damaged or was changed") as told:
        load_profile(saved, digits_world.task)
    assert "\n" not in str(told.value)


def test_a_changed_file_is_refused(saved, digits_world, tmp_path):
    with safe_open(saved, "pt") as file:
        facts = file.metadata()
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name].view(-1)[0] += 1
    save_file(tensors, saved, facts)
    with pytest.raises(DataError, match="does not belong to its digest"):
        load_profile(saved, digits_world.task)


@pytest.mark.parametrize("content", ["nothing", "text", "pickle", "weights", "old", "cut"])
def test_what_is_no_profile_is_refused_in_one_sentence(content, saved, digits_world, tmp_path):
    path = tmp_path / "other.safetensors"
    whole = saved.read_bytes()
    if content == "text":
        path.write_text("hello " * 100)
    elif content == "pickle":
        path.write_bytes(pickle.dumps({"a": 1}))
    elif content == "weights":
        save_file({"a": torch.zeros(2)}, path)
    elif content == "old":
        facts = {"schema": 1, "anomech": "0.0.1", "digest": "", "plan": {}}
        save_file({}, path, {HEADER: json.dumps(facts)})
    elif content == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"anomech fit") as told:
        load_profile(path, digits_world.task)
    assert "\n" not in str(told.value)
