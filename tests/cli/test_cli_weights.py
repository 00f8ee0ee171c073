"""What was chosen among the weights of a file reaches whoever reads the report."""

import json

import torch
from safetensors.torch import load_file


def notes(out):
    found = json.loads((out / "findings.json").read_text())
    return " ".join(each["detail"] for each in found if each["code"] == "model-note")


def test_a_choice_is_a_finding_and_the_key_chooses(run, files, tmp_path):
    state = load_file(files.weights)
    broken = {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()}
    named = {f"model.{name}": tensor for name, tensor in state.items()}
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": named | {"criterion.w": torch.ones(1)}, "ema": broken}, path)
    answer = run(*files.options(weights=path), "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    said = notes(tmp_path / "run")
    assert "also holds weights under 'ema'; those under 'state_dict' are judged" in said
    assert "were taken from under 'model.'; 1 other tensors" in said
    answer = run(*files.options(weights=path), "--weights-key", "ema", "--out", tmp_path / "other")
    assert answer.code == 2
    assert "NaN" in answer.error  # it is the other set that was opened
