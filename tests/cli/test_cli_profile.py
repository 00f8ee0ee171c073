"""`anomech fit` and `anomech audit --profile`: the same verdicts without the trusted examples."""

import json

import pytest
import yaml
from safetensors.torch import load_file, save_file

from anomech.audit import pipeline
from anomech.audit.judge import chunks
from anomech.records import Run, Verdict, read_record, read_rows


@pytest.fixture(scope="module")
def profile(files, tmp_path_factory):
    from typer.testing import CliRunner

    from anomech.cli.app import app

    path = tmp_path_factory.mktemp("profile") / "model.safetensors"
    words = ["fit", *files.options(inputs=None, **{"fail-on": None})[1:-2], "--profile", str(path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "trusted examples" in done.output
    return path


def judging(files, profile, **changed):
    """The command line of an audit by the profile."""
    return files.options(reference=None, budget=None, profile=profile, **changed)


def test_a_profile_gives_the_verdicts_of_the_audit_in_another_process(
    process, files, profile, finished, tmp_path
):
    answer = process(*judging(files, profile), "--out", tmp_path / "run", folder=tmp_path)
    assert answer.code == 0, answer.err
    before = read_rows(finished / "verdicts.jsonl", Verdict)
    assert read_rows(tmp_path / "run" / "verdicts.jsonl", Verdict) == before
    one, two = (read_record(place / "run.json", Run) for place in (finished, tmp_path / "run"))
    assert (one.trusted, one.mechanisms, one.classes) == (two.trusted, two.mechanisms, two.classes)
    assert one.provenance.reference == two.provenance.reference
    assert (tmp_path / "run" / "report.html").exists()


def test_it_holds_no_path(files, profile):
    text = profile.read_bytes()[: 2**20].decode("utf-8", "replace")
    assert str(files.factory.parent) not in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "0.2"], "fitted with other options than this plan's (they differ in budget)"),
        (["--set", "task.watch=last"], "they differ in task.watch"),
        (["--reference", "."], "not both"),
    ],
)
def test_options_that_would_need_another_fit_are_refused(
    run, files, profile, words, said, tmp_path
):
    answer = run(*judging(files, profile), *words, "--out", tmp_path / "run")
    assert answer.code == 2
    assert said in answer.error


def test_another_model_and_a_damaged_file_are_refused(run, files, profile, tmp_path):
    weights = load_file(files.weights)
    name = next(iter(weights))
    save_file({**weights, name: weights[name] * 1.001}, tmp_path / "other.safetensors")
    other = judging(files, profile, weights=tmp_path / "other.safetensors")
    assert "fitted to another model" in run(*other, "--out", tmp_path / "one").error
    (tmp_path / "bad.safetensors").write_bytes(profile.read_bytes()[:-100])
    bad = judging(files, tmp_path / "bad.safetensors")
    assert "anomech fit" in run(*bad, "--out", tmp_path / "two").error


def test_a_resumed_run_does_not_fit_again(run, files, finished, tmp_path, monkeypatch):
    out, fits = tmp_path / "run", []
    saved, fit = chunks.save, pipeline.fit

    def dying(folder, number, *given):
        if number == 2:
            raise KeyboardInterrupt
        saved(folder, number, *given)

    def counted(*given):
        fits.append(given)
        return fit(*given)

    monkeypatch.setattr(pipeline, "fit", counted)
    monkeypatch.setattr(chunks, "save", dying)
    run(*files.options(), "--out", out)
    monkeypatch.setattr(chunks, "save", saved)
    assert (out / "work" / "profile.safetensors").exists()
    assert run(*files.options(), "--out", out).code == 0
    assert len(fits) == 1
    assert (out / "verdicts.jsonl").read_text() == (finished / "verdicts.jsonl").read_text()
    assert not (out / "work").exists()


def test_a_kept_profile_of_other_trusted_examples_is_fitted_again(
    run, files, tmp_path, monkeypatch
):
    out = tmp_path / "run"
    saved = chunks.save
    monkeypatch.setattr(chunks, "save", lambda *given: (_ for _ in ()).throw(KeyboardInterrupt))
    run(*files.options(), "--out", out)
    kept = out / "work" / "profile.safetensors"
    kept.write_bytes(kept.read_bytes()[:-1])  # damaged: no reason to stop
    monkeypatch.setattr(chunks, "save", saved)
    assert run(*files.options(), "--out", out).code == 0


def test_a_plan_names_a_profile(run, files, profile, tmp_path):
    plan = tmp_path / "plan.yaml"
    run(*judging(files, profile), "--out", tmp_path / "run")
    values = yaml.safe_load((tmp_path / "run" / "plan.yaml").read_text())
    assert values["profile"] == str(profile)
    plan.write_text(yaml.safe_dump(values))
    answer = run("audit", "--plan", plan, "--out", tmp_path / "again", "--fail-on", "never")
    assert answer.code == 0
    one, two = (
        json.loads((tmp_path / each / "run.json").read_text())["detectors"][0]["flagged"]
        for each in ("run", "again")
    )
    assert one == two


def test_a_quiet_audit_says_what_it_would_have_caught(run, files, tmp_path):
    words = files.options(**{"detector": "confidence"})
    answer = run(*words, "--sensitivity", "--set", "sensitivity.triggers=patch",
                 "--out", tmp_path / "run")  # fmt: skip
    assert answer.code == 0, answer.err
    (patch,) = read_record(tmp_path / "run" / "run.json", Run).sensitivity
    assert patch.took
    assert patch.caught < 0.5
    assert "low-power" in (tmp_path / "run" / "report.html").read_text()
    assert "of a planted patch" in answer.out


def test_a_profile_that_holds_no_such_answer_is_told_so(run, files, profile, tmp_path):
    answer = run(*judging(files, profile), "--sensitivity", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "What this audit would have caught is not known" in answer.out
