"""Checkpoints as training scripts leave them fit, or the message says what would."""

import argparse
import collections
import pathlib

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.fitting import apply_state
from anomech.artefacts.stored import load_object
from anomech.kernel.errors import ModelError


def network(seed=0):
    torch.manual_seed(seed)
    layers = [("conv", nn.Conv2d(1, 2, 3)), ("norm", nn.BatchNorm2d(2)), ("head", nn.Linear(2, 3))]
    return nn.Sequential(collections.OrderedDict(layers))


STATE = network().state_dict()


def under(prefix, state=STATE):
    return {prefix + name: tensor for name, tensor in state.items()}


def applied(path, key=""):
    """Notes of reading and applying, after a check that the weights are there."""
    model, weights = network(1), read_weights(path, key)
    notes = (*weights.notes, *apply_state(model, weights.state))
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, STATE[name])
    return " ".join(notes)


def lightning(**more):
    return {
        "epoch": 3,
        "state_dict": under("model.") | {"criterion.weight": torch.ones(3)},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"dirpath": pathlib.Path("/a/b")}},
        "hyper_parameters": argparse.Namespace(lr=np.float64(0.1), steps=np.int64(3), tags={"a"}),
        "lr_schedulers": [collections.Counter({1: 2}), collections.defaultdict(list)],
        **more,
    }


def test_a_lightning_checkpoint_loads_and_says_what_was_left_out(tmp_path):
    torch.save(lightning(), tmp_path / "a.ckpt")
    notes = applied(tmp_path / "a.ckpt")
    assert "under 'model.'" in notes
    assert "1 other tensors" in notes
    assert "criterion.weight" in notes


def test_plain_classes_come_as_what_they_hold(tmp_path):
    torch.save(lightning(), tmp_path / "a.ckpt")
    found = load_object(tmp_path / "a.ckpt")
    assert found["hyper_parameters"] == {"lr": 0.1, "steps": 3, "tags": ["a"]}
    assert found["lr_schedulers"] == [{1: 2}, {}]
    assert found["callbacks"]["ModelCheckpoint{'monitor': None}"] == {"dirpath": "/a/b"}


@pytest.mark.parametrize("prefix", ["model.", "net.", "a.b.", "model._orig_mod.", "module.model."])
def test_a_beginning_of_all_names_is_taken_off_and_noted(tmp_path, prefix):
    save_file(under(prefix), tmp_path / "a.safetensors")
    assert "were taken from under" in applied(tmp_path / "a.safetensors")


def test_a_beginning_that_the_model_has_is_put_before(tmp_path):
    torch.save(STATE, tmp_path / "a.pt")
    model = nn.Sequential(collections.OrderedDict(backbone=network(1)))
    notes = apply_state(model, read_weights(tmp_path / "a.pt").state)
    assert notes == ("'backbone.' was put before every name, as the model has it.",)


def test_two_sets_that_fit_are_asked_about(tmp_path):
    torch.save(under("student.") | under("teacher."), tmp_path / "a.pt")
    with pytest.raises(
        ModelError, match=r"'student\.' or .*'teacher\.'; choose with --weights-key"
    ):
        applied(tmp_path / "a.pt")
    assert applied(tmp_path / "a.pt", "teacher.") == ""


def test_averages_beside_the_weights_are_named_and_chosen(tmp_path):
    other = {name: tensor + 1 for name, tensor in STATE.items()}
    torch.save({"state_dict": STATE, "state_dict_ema": other}, tmp_path / "a.pt")
    notes = applied(tmp_path / "a.pt")
    assert "also holds weights under 'state_dict_ema'; those under 'state_dict' are judged" in notes
    found = read_weights(tmp_path / "a.pt", "state_dict_ema")
    assert torch.equal(found.state["head.bias"], STATE["head.bias"] + 1)
    torch.save({"deep": {"ema": STATE}, "state_dict": other}, tmp_path / "a.pt")
    assert applied(tmp_path / "a.pt", "deep/ema") == ""
    with pytest.raises(ModelError, match="no weights under 'nothing'; there are some under state_"):
        read_weights(tmp_path / "a.pt", "nothing")
    torch.save({"model_ema": STATE}, tmp_path / "a.pt")
    assert "averaged weights alone" in applied(tmp_path / "a.pt")
    averaged = torch.optim.swa_utils.AveragedModel(network())
    torch.save(averaged.state_dict(), tmp_path / "a.pt")
    assert "average over training" in applied(tmp_path / "a.pt")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_are_cast_with_a_note(tmp_path, dtype):
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in STATE.items()}
    torch.save(state, tmp_path / "a.pt")
    notes = apply_state(network(1), read_weights(tmp_path / "a.pt").state)
    assert notes == (f"Weights of {dtype} are judged as float32, the type of the model.".replace(
        "torch.", ""),)  # fmt: skip


def test_numbers_that_the_type_of_the_model_cannot_hold_are_refused():
    state = {n: t.double() if t.is_floating_point() else t for n, t in STATE.items()}
    state["head.bias"] = torch.full((3,), 1e300, dtype=torch.float64)
    with pytest.raises(ModelError, match="NaN or infinite"):
        apply_state(network(1), state)


def test_names_of_earlier_libraries_are_understood():
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.LayerNorm = nn.LayerNorm(3)

    model = Norm()
    notes = apply_state(
        model, {"LayerNorm.gamma": torch.ones(3) * 2, "LayerNorm.beta": torch.ones(3)}
    )
    assert "gamma is weight now" in notes[0]
    assert model.LayerNorm.weight.tolist() == [2.0] * 3


def test_the_nearest_naming_is_suggested():
    state = under("encoder.")
    del state["encoder.head.bias"]
    with pytest.raises(
        ModelError,
        match=r"8 tensors of the model.*7 of the model's 8 would fit if you take those under 'enc",
    ):
        apply_state(network(1), state)


def test_weights_that_do_not_fit_leave_the_model_alone():
    model = network(1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError):
        apply_state(model, {"unlike": torch.ones(2)})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
