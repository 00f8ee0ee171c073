"""`anomech audit` and `anomech demo` when all is well: what is said, written and returned."""

import json
import shutil

import numpy as np
import pytest
import yaml

from anomech.audit.plan import BASELINES
from anomech.records import Run, Verdict, read_record, read_rows


def test_summary_says_what_was_found(run, files, tmp_path):
    out = tmp_path / "run"
    answer = run(*files.options(), "--out", out)
    assert answer.code == 0
    flags = sum(row.decision == "flag" for row in read_rows(out / "verdicts.jsonl", Verdict))
    assert flags >= 20
    assert f"weights.safetensors: {flags} of 64 inputs flagged" in answer.out
    assert "by chance alone about 3.2 at a budget of 0.05" in answer.out
    for finding in json.loads((out / "findings.json").read_text()):
        assert finding["title"] in answer.out
        assert finding["severity"] in answer.out
    assert "Mechanism 1:" in answer.out
    assert f"Report: {out / 'report.html'}" in answer.out
    assert (out / "report.html").stat().st_size > 1000
    assert not (out / "work").exists()


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("finding", 1), ("flag", 1)])
def test_exit_codes_of_a_backdoor(run, files, finished, fail_on, code):
    answer = run(*files.options(), "--out", finished, "--fail-on", fail_on)
    assert answer.code == code
    assert "was finished on" in answer.out  # nothing was computed for it


def test_exit_codes_of_clean_inputs(run, files, tmp_path):
    clean = tmp_path / "clean.npz"
    np.savez(clean, images=files.images[1200:1240])
    out = tmp_path / "run"
    words = [*files.options(inputs=clean), "--out", out, "--fail-on"]
    assert run(*words, "never").code == 0
    assert run(*words, "finding").code == 0
    flags = sum(row.decision == "flag" for row in read_rows(out / "verdicts.jsonl", Verdict))
    assert run(*words, "flag").code == (1 if flags else 0)


def test_unknown_fail_on_is_refused(run, files, tmp_path):
    answer = run(*files.options(), "--out", tmp_path / "run", "--fail-on", "often")
    assert answer.code == 2
    assert not (tmp_path / "run").exists()


def test_plan_replays_the_run(run, finished, tmp_path):
    out = tmp_path / "again"
    assert run("audit", "--plan", finished / "plan.yaml", "--out", out).code == 1
    for name in ("verdicts.jsonl", "plan.yaml", "findings.json", "examples.jsonl"):
        assert (out / name).read_bytes() == (finished / name).read_bytes()


def test_report_again_is_identical(run, finished, tmp_path):
    copy = tmp_path / finished.name
    shutil.copytree(finished, copy)
    (copy / "report.html").unlink()
    answer = run("report", copy)
    assert (answer.code, answer.out) == (0, f"{copy / 'report.html'}\n")
    assert (copy / "report.html").read_bytes() == (finished / "report.html").read_bytes()


def test_options_come_before_the_plan_and_settings_before_options(run, files, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "budget: 0.5\nseed: 3\nchunk: 7\ndetectors: {knn: {k: 4}, energy: {}}\nlead: knn"
    )
    out = tmp_path / "run"
    words = [*files.plain(budget=0.2), "--plan", plan, "--set", "seed=9", "--seed", 8]
    assert run(*words, "--out", out).code == 0
    values = yaml.safe_load((out / "plan.yaml").read_text())
    assert (values["budget"], values["seed"], values["chunk"]) == (0.2, 9, 16)
    assert values["lead"] == "knn"
    assert values["detectors"] == {"knn": {"k": 4}, "energy": {}}


def test_detectors_on_the_command_line(run, files, tmp_path):
    out = tmp_path / "run"
    words = [*files.plain(), "--detector", "coupling_score", "--detector", "knn"]
    answer = run(*words, "--set", "detectors.knn.k=3", "--out", out)
    assert answer.code == 0, answer.err
    values = yaml.safe_load((out / "plan.yaml").read_text())
    assert values["lead"] == "coupling_score"
    assert set(values["detectors"]) == {"coupling_score", *BASELINES}
    assert values["detectors"]["knn"] == {"k": 3}


def test_model_on_the_command_line_replaces_the_plans(run, files, tmp_path):
    plan = tmp_path / "plan.yaml"
    plan.write_text("model: {use: backdoorbench, file: other.pt}\n")
    assert run(*files.options(), "--plan", plan, "--out", tmp_path / "run").code == 0


def test_folder_of_its_own_for_each_plan(run, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*files.options()).code == 0
    assert "was finished on" in run(*files.options()).out
    assert run(*files.options(budget=0.1)).code == 0
    folders = sorted((tmp_path / "runs").iterdir())
    assert len(folders) == 2
    assert all(folder.name.startswith("audit-weights.safetensors-") for folder in folders)


def test_demo_end_to_end(process, run, tmp_path, monkeypatch):
    answer = process("demo", folder=tmp_path, COLUMNS="80")
    assert answer.code == 0, answer.err
    folder = tmp_path / "runs" / "demo-badnets-0"
    truth = read_record(folder / "run.json", Run).truth
    assert f"{truth.true_positives} of the {truth.triggered} whose trigger worked" in answer.out
    assert "Report: runs/demo-badnets-0/report.html" in answer.out
    assert "functional_attribution *" in answer.out
    assert "Mechanism 1:" in answer.out
    monkeypatch.chdir(tmp_path)
    again = run("demo")
    assert again.code == 0
    assert "was finished on" in again.out
    # The plan names what the demo left in its folder, so an audit can repeat it.
    assert run("audit", "--plan", folder / "plan.yaml", "--out", "again").code == 1
    verdicts = (tmp_path / "again" / "verdicts.jsonl").read_bytes()
    assert verdicts == (folder / "verdicts.jsonl").read_bytes()


def test_demo_refuses_what_it_cannot_plant(run, tmp_path, one_sentence):
    answer = run("demo", "--attack", "badnet", "--out", tmp_path / "run")
    assert answer.code == 2
    one_sentence(answer.error, "badnets")
    assert not (tmp_path / "run").exists()


def test_demo_does_not_mix_attacks(run, tmp_path, one_sentence):
    out = tmp_path / "run"
    assert run("demo", "--out", out).code == 0
    answer = run("demo", "--attack", "blended", "--out", out)
    assert answer.code == 2
    one_sentence(answer.error, "another plan", "choose another --out")


def test_too_few_draws_are_inconclusive(run, files, tmp_path):
    out, lead = tmp_path / "run", "detectors.functional_attribution"
    words = ["--set", f"{lead}.tracer={{use: gaussian, draws: 4}}"]
    answer = run(*files.options(), *words, "--out", out, "--fail-on", "flag")
    assert answer.code == 3
    assert answer.err.splitlines()[-1].startswith("inconclusive: ")
    assert "64 could not be judged" in answer.out
    assert read_record(out / "run.json", Run).status == "inconclusive"
    rows = read_rows(out / "verdicts.jsonl", Verdict)
    assert {row.decision for row in rows} == {"inconclusive"}
    assert (out / "report.html").exists()


def test_a_detector_beside_the_lead_that_cannot_be_fitted_is_a_finding(run, files, tmp_path):
    out = tmp_path / "run"
    tracer = "detectors.functional_attribution.tracer"
    settings = ["--set", f"{tracer}={{use: gaussian, sigma: 1.0e+30}}"]
    beside = ["--detector", "knn", "--detector", "functional_attribution"]
    answer = run(*files.options(), "--out", out, *beside, *settings)
    assert answer.code == 0
    assert read_record(out / "run.json", Run).status == "complete"
    codes = {finding["code"] for finding in json.loads((out / "findings.json").read_text())}
    assert "detector-left-out" in codes
    alone = run(*files.options(), "--out", tmp_path / "lead", *settings)
    assert alone.code == 3
    assert "not finite" in alone.err


def test_the_fast_mode_costs_no_pass_beyond_the_answer(run, files, tmp_path):
    out = tmp_path / "run"
    answer = run(*files.plain(), "--out", out, "--fast", "--memory", "64MB")
    assert answer.code == 0
    plan = yaml.safe_load((out / "plan.yaml").read_text())
    assert plan["detectors"]["functional_attribution"]["tracer"]["use"] == "last_layer"
    assert plan["detectors"]["functional_attribution"]["twins"]["rungs"] == 0
    assert plan["task"]["memory"] == 64
    lead = next(each for each in read_record(out / "run.json", Run).detectors if each.lead)
    assert lead.evaluations == 0
    assert any(row.decision == "flag" for row in read_rows(out / "verdicts.jsonl", Verdict))


def test_another_engine_finds_the_same_in_the_same_folder(run, files, finished, tmp_path):
    out = tmp_path / "run"
    words = ["--engine", "processes", "--engine-set", "workers=1"]
    assert run(*files.options(), "--out", out, *words).code == 0
    for name in ("verdicts.jsonl", "scores/functional_attribution.jsonl"):
        here, there = (read_lines(folder / name) for folder in (finished, out))
        assert here == there
    assert "was finished on" in run(*files.options(), "--out", finished, *words).out


def read_lines(path):
    return path.read_text().splitlines()
