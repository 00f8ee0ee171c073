"""A scan by command line: files, triggers, what comes out, and how it ends."""

import json
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from anomech.architectures.digits import DigitsNet
from anomech.kernel.errors import ModelError
from anomech.records import FileRow, ModelScan, read_findings, read_record, read_rows

CHEAP = ("--set", "scanners.neural_cleanse.inversion.rounds=40",
         "--set", "scanners.neural_cleanse.examples=60")  # fmt: skip


class Calls:
    """Its pickle calls a function when it is loaded."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.fixture(scope="module")
def searched(files, tmp_path_factory):
    """A finished scan of the digits network with its planted patch."""
    from typer.testing import CliRunner

    from anomech.cli.app import app

    out = tmp_path_factory.mktemp("scan") / "run"
    words = [
        *("scan", "--model", f"{files.factory}:make_model", "--weights", str(files.weights)),
        *("--reference", str(files.reference), "--scanner", "neural_cleanse"),
        *("--fail-on", "never", "--out", str(out), *CHEAP),
    ]
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return words, out, result


def test_the_planted_class_comes_first_with_its_trigger(searched):
    _, out, result = searched
    assert result.exit_code in (0, 3), result.output
    found = read_record(out / "scan.json", ModelScan)
    (scanner,) = found.scanners
    first = scanner.compared[0]
    assert (first.name, first.group) == ("digit-0", 0)
    assert first.trigger.success > 0.8
    assert 0 < scanner.chance.value <= 1
    assert "--clean-model" in scanner.chance.weakness
    assert found.verdict == ("finding" if found.chance.value <= found.level else "no finding")
    for path in first.trigger.pictures.values():
        assert (out / path).read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    assert "digit-0" in page
    assert "trigger, on gray" in page


def test_the_same_command_finds_it_finished(searched, run):
    words, out, _ = searched
    before = (out / "scan.json").read_bytes()
    answer = run(*words)
    assert "inverting" not in answer.err
    assert (out / "scan.json").read_bytes() == before


def test_an_interrupted_scan_goes_on_behind_finished_scanners(searched, run):
    words, out, _ = searched
    before = read_record(out / "scan.json", ModelScan)
    text = (out / "scan.json").read_text().replace('"complete"', '"interrupted"')
    (out / "scan.json").write_text(text)
    answer = run(*words)
    assert "inverting" not in answer.err
    after = read_record(out / "scan.json", ModelScan)
    assert after.scanners == before.scanners
    assert after.verdict == before.verdict


def test_the_report_can_be_made_again(searched, run):
    _, out, _ = searched
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert run("report", out).code == 0
    assert (out / "report.html").read_bytes() == page


def test_files_alone_take_no_model(run, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "notes.txt").write_text("plain words\n")
    (model / "weights.pkl").write_bytes(pickle.dumps({"a": 1}))
    out = tmp_path / "calm"
    answer = run("scan", "--weights", model, "--out", out)
    assert answer.code == 0, answer.err
    rows = read_rows(out / "files.jsonl", FileRow)
    assert [row.path for row in rows] == ["notes.txt", "weights.pkl"]
    assert all(len(row.sha256) == 64 for row in rows)
    (model / "bad.pkl").write_bytes(pickle.dumps(Calls()))
    answer = run("scan", "--weights", model, "--out", tmp_path / "alarm")
    assert answer.code == 1
    assert "bad.pkl: it asks for code" in answer.out
    (finding,) = read_findings(tmp_path / "alarm" / "findings.json")
    assert (finding.code, finding.where) == ("unsafe-pickle", "bad.pkl")
    assert "system" in finding.detail
    assert run("scan", "--weights", model, "--out", out).code == 2  # it is another model now


def test_a_model_that_must_not_be_loaded_is_an_answer(run, files, tmp_path):
    weights = tmp_path / "weights.pt"
    weights.write_bytes(pickle.dumps(Calls()))
    words = ("scan", "--model", f"{files.factory}:make_model", "--reference", files.reference)
    answer = run(*words, "--weights", weights, "--out", tmp_path / "run")
    assert answer.code == 1, answer.err
    codes = {each["code"] for each in json.loads((tmp_path / "run/findings.json").read_text())}
    assert codes == {"unsafe-pickle", "model-not-opened"}


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ((), ("names nothing to scan", "--weights")),
        (("--weights", "nowhere"), ("does not exist",)),
        (("--model", "a.py:make"), ("names nothing to scan", "--reference")),
        (("--weights", ".", "--reference", "."), ("names no model",)),
        (("--weights", ".", "--scanner", "neural_clense"), ("did you mean 'neural_cleanse'",)),
        (("--weights", ".", "--level", "2"), ("plan.level",)),
    ],
)
def test_bad_input_is_one_sentence(run, one_sentence, tmp_path, monkeypatch, words, parts):
    monkeypatch.chdir(tmp_path)
    answer = run("scan", *words, "--out", tmp_path / "run")
    assert answer.code == 2
    one_sentence(answer.error, *parts)


def test_several_weights_files_must_be_named(run, files, one_sentence, tmp_path):
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(files.weights.read_bytes())
    words = ("scan", "--model", f"{files.factory}:make_model", "--weights", tmp_path)
    one_sentence(run(*words).error, "several weights files (a.safetensors, b.safetensors)")


def test_errors_are_noted_in_the_folder(run, tmp_path):
    answer = run("scan", "--weights", tmp_path / "nothing", "--out", tmp_path / "run")
    assert answer.code == ModelError.exit_code
    assert read_record(tmp_path / "run" / "scan.json", ModelScan).status == "failed"
    assert "failed before" in (tmp_path / "run" / "report.html").read_text()


def test_a_baseline_accepts_what_was_found_until_it_changes(run, tmp_path, one_sentence):
    model, accepted = tmp_path / "model", tmp_path / "accepted.yaml"
    model.mkdir()
    (model / "w.pkl").write_bytes(pickle.dumps(Calls()))
    words = ("scan", "--weights", model)
    assert run(*words, "--out", tmp_path / "a").code == 1
    answer = run("baseline", tmp_path / "a", "-o", accepted)
    assert "Write a reason" in answer.out
    one_sentence(run(*words, "--baseline", accepted, "--out", tmp_path / "b").error, "no reason")
    accepted.unlink()
    assert run("baseline", tmp_path / "a", "-o", accepted, "--reason", "we made it").code == 0
    one_sentence(run("baseline", tmp_path / "a", "-o", accepted).error, "is there already")
    answer = run(*words, "--baseline", accepted, "--out", tmp_path / "b", "--format", "sarif")
    assert answer.code == 0, answer.out
    assert "accepted" in (tmp_path / "b" / "report.html").read_text()
    assert "we made it" in (tmp_path / "b" / "evidence" / "anomech.sarif").read_text()
    assert run(*words, "--out", tmp_path / "b").code == 1  # the same folder without it
    assert run(*words, "--baseline", accepted, "--out", tmp_path / "b").code == 0
    (model / "w.pkl").write_bytes(pickle.dumps({"a": Calls()}))
    answer = run(*words, "--baseline", accepted, "--out", tmp_path / "c")
    assert answer.code == 1
    assert "nothing is accepted" in answer.out


def test_evidence_can_be_made_of_a_finished_scan(searched, run):
    _, out, _ = searched
    forms = ("sarif", "sarif-open", "junit", "cyclonedx", "card")
    answer = run("report", out, *(word for form in forms for word in ("--format", form)))
    assert answer.code == 0, answer.err
    assert len(list((out / "evidence").iterdir())) == len(forms)


def test_weights_are_compared_without_a_model(run, files, tmp_path):
    alone = run("scan", "--weights", files.weights, "--out", tmp_path / "alone")
    assert alone.code in (0, 1), alone.err
    found = read_record(tmp_path / "alone" / "scan.json", ModelScan)
    assert found.asked == ("files", "weights")
    by_name = {each.name: each for each in found.scanners}
    assert {each.chance for each in by_name.values()} == {None}  # weights do not measure each other
    clean = []
    for seed in range(4):
        torch.manual_seed(seed)
        clean.append(tmp_path / f"clean{seed}.safetensors")
        save_file(DigitsNet().state_dict(), clean[-1])
    words = [word for path in clean for word in ("--clean-model", path)]
    run("scan", "--weights", files.weights, *words, "--out", tmp_path / "compared")
    compared = read_record(tmp_path / "compared" / "scan.json", ModelScan)
    chances = [each.chance for each in compared.scanners]
    assert {each.networks for each in chances} == {4}
    assert min(each.value for each in chances) == 0.2


def test_clean_models_of_another_architecture_are_left_out(run, files, tmp_path):
    other = tmp_path / "other.safetensors"
    save_file({"a.weight": torch.randn(8, 8)}, other)
    out = tmp_path / "run"
    run("scan", "--weights", files.weights, "--clean-model", other, "--out", out)
    results = read_record(out / "scan.json", ModelScan).scanners
    assert {each.status for each in results} == {"left out"}
    assert "same architecture" in results[0].why


def test_a_model_folder_is_looked_through_even_if_it_must_not_be_opened(run, files, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    save_file({"w.weight": torch.ones(8, 8)}, model / "model.safetensors")
    config = {"architectures": ["EvilForImageClassification"], "auto_map": {"AutoModel": "a.B"}}
    (model / "config.json").write_text(json.dumps(config))
    answer = run("scan", "--model", model, "--out", tmp_path / "alone")
    assert answer.code == 1
    assert "config.json: it asks to run code" in answer.out
    words = ("scan", "--model", model, "--reference", files.reference, "--out", tmp_path / "both")
    answer = run(*words)
    assert answer.code == 1
    assert "brings code of its own" in answer.err
    assert read_record(tmp_path / "both" / "scan.json", ModelScan).asked == ("files", "weights")
