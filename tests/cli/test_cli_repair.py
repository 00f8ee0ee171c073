"""`anomech repair` from the command line: from an audit's folder to proved weights, and resumed."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from anomech.architectures.digits import DigitsNet
from anomech.records import RepairRun, read_record
from anomech.repair import proving

QUICK = (
    *("--method", "constrained_unlearning", "--method", "clp"),
    *(
        "--set",
        "proof.audit=false",
        "--set",
        "proof.poisons=[1,2]",
        "--set",
        "proof.inversion.rounds=20",
    ),
)


@pytest.fixture(scope="module")
def repaired(finished, tmp_path_factory):
    from typer.testing import CliRunner

    from anomech.cli.app import app

    out = tmp_path_factory.mktemp("repaired") / "out"
    result = CliRunner().invoke(app, ["repair", str(finished), *QUICK, "--out", str(out)])
    return out, result


def test_a_flagged_mechanism_goes_and_the_weights_are_a_model(files, repaired):
    out, result = repaired
    assert result.exit_code == 1, result.output  # the second audit was not done
    record = read_record(out / "repair.json", RepairRun)
    outcomes = {each.name: each.outcome for each in record.checks}
    assert outcomes["answers"] == outcomes["accuracy"] == "passed"
    assert outcomes["second audit"] == "not done"
    assert not record.verified
    assert record.chosen == "constrained_unlearning"
    state = load_file(out / "repaired.safetensors")
    network = DigitsNet()
    network.load_state_dict(state)
    before = load_file(files.weights)
    assert set(state) == set(before)
    assert not torch.equal(state["linear.weight"], before["linear.weight"])
    page = (out / "report.html").read_text()
    assert "not verified" in page
    assert "<script" not in page


def test_examples_have_one_role_only(repaired):
    out, _ = repaired
    counts = read_record(out / "repair.json", RepairRun).counts
    assert sum(count for name, count in counts.items() if name.startswith("trusted")) == 160
    assert counts["trusted to prove"] == 48
    assert counts["flagged to prove"] >= 5


def test_an_interrupted_repair_begins_behind_what_it_did(
    run, finished, repaired, tmp_path, monkeypatch
):
    out, _ = repaired
    kept = shutil.copytree(out, tmp_path / "kept")
    for name in ("repair.json", "report.html", "repaired.safetensors", "checks/relearning.json"):
        (kept / name).unlink()
    done = []
    monkeypatch.setattr(
        proving,
        "CHECKS",
        tuple(
            (names, lambda context, names=names, make=make: (done.append(names), make(context))[1])
            for names, make in proving.CHECKS
        ),
    )
    before = {path.name: path.stat().st_mtime_ns for path in (kept / "methods").iterdir()}
    assert run("repair", finished, *QUICK, "--out", kept).code == 1
    assert {path.name: path.stat().st_mtime_ns for path in (kept / "methods").iterdir()} == before
    assert done == [("relearning",)]
    first, second = (json.loads((folder / "repair.json").read_text()) for folder in (out, kept))
    assert [each["said"] for each in first["checks"]] == [each["said"] for each in second["checks"]]


def test_a_finished_repair_is_shown_and_a_changed_one_refused(run, finished, repaired, tmp_path):
    out, _ = repaired
    kept = shutil.copytree(out, tmp_path / "kept")
    assert run("repair", finished, *QUICK, "--out", kept).code == 1
    assert run("report", kept).code == 0
    with (kept / "repaired.safetensors").open("ab") as file:
        file.write(b"x")
    answer = run("repair", finished, *QUICK, "--out", kept)
    assert answer.code == 2
    assert "changed since" in answer.error
    assert run("report", kept).code == 1


def test_a_finished_repair_of_other_weights_is_not_shown(run, finished, files, repaired, tmp_path):
    out, _ = repaired
    kept = shutil.copytree(out, tmp_path / "kept")
    before = files.weights.read_bytes()
    state = load_file(files.weights)
    save_file({name: tensor + 0.01 for name, tensor in state.items()}, files.weights)
    try:
        answer = run("repair", finished, *QUICK, "--out", kept)
    finally:
        files.weights.write_bytes(before)
    assert answer.code == 2
    assert "the model changed" in answer.error


def test_bad_input_is_one_sentence(run, files, finished, tmp_path, one_sentence):
    wrong = run("repair", finished, "--method", "ft_samm", "--out", tmp_path / "a")
    assert wrong.code == 2
    one_sentence(wrong.error, "did you mean 'ft_sam'")
    nothing = run("repair", "--out", tmp_path / "b")
    assert nothing.code == 2
    one_sentence(nothing.error)
    none = run("repair", finished, "--mechanism", 7, "--out", tmp_path / "c")
    assert none.code == 2
    one_sentence(none.error, "no mechanism 7")
    alone = run(
        *("repair", "--model", f"{files.factory}:make_model", "--weights", files.weights),
        *("--reference", files.reference, "--method", "gradient_ascent", "--out", tmp_path / "d"),
    )
    assert alone.code == 2
    one_sentence(alone.error, "flagged inputs")
