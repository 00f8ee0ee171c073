"""Which weights are compared: those of all sound files together, and those they were tuned from."""

import pickle

import pytest
import torch
from safetensors.torch import save_file

from anomech.artefacts.files.looking import look_through
from anomech.kernel.errors import ModelError
from anomech.kernel.types import silent
from anomech.scan.plan import from_mapping
from anomech.scan.weighing import digest_of, weights_of


def looked(folder, **given):
    plan = from_mapping({"files": str(folder), **given})
    return weights_of(plan, look_through(folder, silent), None)


def test_files_of_one_model_are_put_together(tmp_path):
    save_file({"a.weight": torch.ones(2, 2)}, tmp_path / "1.safetensors")
    torch.save({"b.weight": torch.ones(3, 3)}, tmp_path / "2.pt")
    (tmp_path / "settings.pkl").write_bytes(pickle.dumps({"lr": 0.1}))
    found = looked(tmp_path)
    assert sorted(found.state) == ["a.weight", "b.weight"]
    assert (found.base, found.clean, found.notes, found.words) == (None, (), (), ())


def test_another_model_beside_it_is_left_out_and_said(tmp_path):
    for name, value in (("a", 1.0), ("b", 2.0)):
        save_file({"w": torch.full((2, 2), value)}, tmp_path / f"{name}.safetensors")
    found = looked(tmp_path)
    assert float(found.state["w"][0, 0]) == 1
    assert "a.safetensors were compared; b.safetensors hold others" in found.notes[0]


def test_what_must_not_be_loaded_is_not(tmp_path):
    (tmp_path / "w.pkl").write_bytes(b"cposix\nsystem\n(tR.")
    assert looked(tmp_path) is None
    save_file({"w": torch.tensor([[float("nan")] * 4] * 4)}, tmp_path / "w.safetensors")
    assert looked(tmp_path) is None


def test_the_base_may_be_a_folder_and_decides_the_digest(tmp_path):
    base = tmp_path / "base"
    base.mkdir()
    save_file({"w": torch.ones(2, 2)}, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match="no safetensors file"):
        looked(tmp_path / "w.safetensors", base=str(base))
    save_file({"v": torch.ones(2, 2)}, base / "1.safetensors")
    save_file({"w": torch.ones(2, 2)}, base / "2.safetensors")
    first = looked(tmp_path / "w.safetensors", base=str(base))
    assert sorted(first.base) == ["v", "w"]
    save_file({"w": torch.zeros(2, 2)}, base / "2.safetensors")
    second = looked(tmp_path / "w.safetensors", base=str(base))
    assert digest_of("m", first) != digest_of("m", second)
