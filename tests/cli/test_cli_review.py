"""`anomech review` from the command line: one loop, resumed step by step."""

from anomech.records import Review, read_record

QUICK = (
    *("--no-scan", "--rounds", "1", "--method", "constrained_unlearning", "--policy", "consumer"),
    *("--set", "detectors.functional_attribution.twins.rungs=0"),
)


def test_a_planted_patch_is_found_repaired_and_told(run, files, tmp_path):
    given = (
        *("--model", f"{files.factory}:make_model", "--weights", files.weights),
        *("--reference", files.reference, "--inputs", files.inputs, "--budget", "0.05"),
    )
    out = tmp_path / "review"
    answer = run("review", *given, *QUICK, "--cost", "attack=10,20", "--out", out)
    assert answer.code == 1, answer.err  # what a policy demands of the audit was not measured
    record = read_record(out / "review.json", Review)
    assert [each.kind for each in record.steps] == ["audit", "repair"]
    assert record.steps[0].outcome == "bad"
    assert record.diagnoses[0].name == "backdoor"
    assert record.conclusion in ("repaired", "not clean")
    assert record.demands[0].outcome == "not measured"
    assert 0 <= record.risk.low <= record.risk.high
    assert record.risk.parts["attack"][1] <= 20
    page = (out / "report.html").read_text()
    assert "repair-1/report.html" in page
    assert "<script" not in page
    assert (out / "model-card.md").read_text().startswith("## Security repair")
    kept = (out / "repair-1" / "repair.json").stat().st_mtime_ns
    again = run("review", *given, *QUICK, "--cost", "attack=10,20", "--out", out)
    assert again.code == 1
    assert (out / "repair-1" / "repair.json").stat().st_mtime_ns == kept
    other = run("review", *given, *QUICK, "--cost", "attack=10,30", "--out", out)
    assert other.code == 2
    assert "review of another plan" in other.error
    assert run("report", out).code == 0


def test_bad_input_is_one_sentence(run, tmp_path, one_sentence):
    wrong = run("review", "--cost", "attack", "--out", tmp_path / "a")
    assert wrong.code == 2
    one_sentence(wrong.error, "NAME=LOW,HIGH")
    unknown = run("review", "--policy", "consumers", "--out", tmp_path / "b")
    assert unknown.code == 2
    one_sentence(unknown.error, "did you mean 'consumer'")
