"""A language model goes through the whole audit: a task of another package, by plan and command."""

import sys
from pathlib import Path

import numpy as np
import pytest
import toy_language
import yaml
from safetensors.torch import save_file

from anomech.kernel import plugins
from anomech.records import ExampleRow, Run, Verdict, read_findings, read_record, read_rows

FACTORY = "from toy_language import ToyTransformer\n\n\ndef make():\n    return ToyTransformer()\n"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package with a task."""
    info = tmp_path / "installed" / "toy-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[anomech.tasks]\ntoy_language = toy_language:ToyLanguageOptions\n"
    )
    monkeypatch.syspath_prepend(str(info.parent))
    monkeypatch.setitem(sys.modules, "toy_language", toy_language)
    plugins._foreign.cache_clear()
    yield
    plugins._foreign.cache_clear()


@pytest.fixture
def plan(language_world, package, tmp_path) -> Path:
    """A plan with the files that it names; the trusted prompts have no answers."""
    world = language_world
    (tmp_path / "net.py").write_text(FACTORY)
    state = {name: tensor.clone() for name, tensor in world.model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    np.savez(tmp_path / "trusted.npz", prompts=world.trusted.values)
    np.savez(tmp_path / "labeled.npz", prompts=world.trusted.values, answers=world.trusted.given)
    inputs = np.concatenate([world.clean.values[:60], world.planted.values[:40]])
    np.savez(tmp_path / "inputs.npz", prompts=inputs)
    path = tmp_path / "plan.yaml"
    values = {
        "model": {"factory": f"{tmp_path}/net.py:make", "weights": f"{tmp_path}/w.safetensors"},
        "task": "toy_language",
        "reference": f"{tmp_path}/trusted.npz",
        "inputs": f"{tmp_path}/inputs.npz",
        "budget": 0.02,
        "chunk": 32,
    }
    path.write_text(yaml.safe_dump(values))
    return path


def test_the_whole_audit_of_a_language_model(run, plan, tmp_path):
    out = tmp_path / "run"
    answer = run("audit", "--plan", plan, "--out", out, "--fail-on", "never")
    assert answer.code == 0, answer.err
    record = read_record(out / "run.json", Run)
    assert (record.status, record.task) == ("complete", "toy language model")
    rows = read_rows(out / "verdicts.jsonl", Verdict)
    flags = [row.decision == "flag" for row in rows]
    assert np.mean(flags[60:]) > 0.5 > 0.1 > np.mean(flags[:60])
    assert {row.kind for row in rows} <= {f"begins with {group}" for group in range(10)}
    assert all(row.kind == f"begins with {row.group}" for row in rows)
    # Completions differ from input to input; what they begin with is what a mechanism shares.
    assert record.mechanisms
    assert set(record.mechanisms[0].answers) == {"begins with 0"}
    codes = {finding.code for finding in read_findings(out / "findings.json")}
    assert {"excess-flags", "unlabeled-trusted"} <= codes
    assert "begins with 0" in answer.out
    page = (out / "report.html").read_text()
    assert "begins with 0" in page
    assert "pixel" not in page.partition("<body")[2].partition("</main>")[0].lower()


def test_labels_of_sentences_and_settings_of_the_task(run, plan, tmp_path):
    out = tmp_path / "run"
    labeled = f"reference={tmp_path}/labeled.npz"
    words = ("--set", labeled, "--set", "task.watch=head*", "--fail-on", "never")
    refused = run("audit", "--plan", plan, "--out", out, *words)
    assert refused.code == 2
    assert "task.watch='head*' matches none" in refused.err
    words = ("--set", labeled, "--set", "task.watch=down*", "--fail-on", "never")
    answer = run("audit", "--plan", plan, "--out", out, *words)
    assert answer.code == 0, answer.err
    codes = {finding.code for finding in read_findings(out / "findings.json")}
    assert "unlabeled-trusted" not in codes
    trusted = [row for row in read_rows(out / "examples.jsonl", ExampleRow) if row.role != "input"]
    assert all(row.label is not None for row in trusted)
    replayed = yaml.safe_load((out / "plan.yaml").read_text())
    assert replayed["task"] == {"use": "toy_language", "watch": "down*"}


def test_a_detector_that_a_task_cannot_serve_is_named_with_advice_that_fits_it(run, plan, tmp_path):
    answer = run("audit", "--plan", plan, "--out", tmp_path / "run", "--detector", "knn")
    assert answer.code == 2
    assert "detector knn needs the input of the layer that gives the logits" in answer.err
    assert "choose another detector" in answer.err
    assert "tracer" not in answer.err
    words = ("--set", "detectors.functional_attribution.tracer=last_layer")
    answer = run("audit", "--plan", plan, "--out", tmp_path / "other", *words)
    assert answer.code == 2
    assert "choose another tracer" in answer.err


def test_a_profile_of_a_language_model_judges_without_the_prompts(run, plan, tmp_path):
    profile, out = tmp_path / "p.safetensors", tmp_path / "run"
    fitted = run("fit", "--plan", plan, "--profile", profile)
    assert fitted.code == 0, fitted.err
    words = ("--set", "reference=''", "--profile", profile, "--fail-on", "never")
    answer = run("audit", "--plan", plan, "--out", out, *words)
    assert answer.code == 0, answer.err
    rows = read_rows(out / "verdicts.jsonl", Verdict)
    assert np.mean([row.decision == "flag" for row in rows[60:]]) > 0.5
