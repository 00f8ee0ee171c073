"""A baseline over an audit: what was accepted fails nothing, and the folder stays whole."""

import shutil

from anomech.records import Run, changed, read_findings, read_record


def test_accepted_findings_of_an_audit_stay_listed(run, files, finished, tmp_path):
    out, accepted = tmp_path / "run", tmp_path / "accepted.yaml"
    shutil.copytree(finished, out)
    words = (*files.options(**{"fail-on": "finding"}), "--out", out)
    assert run(*words).code == 1
    assert run("baseline", out, "-o", accepted, "--reason", "planted by us").code == 0
    answer = run(*words, "--baseline", accepted, "--format", "junit")
    assert answer.code == 0, answer.out + answer.err
    listed = read_findings(out / "findings.json")
    assert any(each.accepted == "planted by us" and each.severity == "high" for each in listed)
    assert changed(out, read_record(out / "run.json", Run)) == ()
    assert "planted by us" in (out / "report.html").read_text()
    assert "skipped" in (out / "evidence" / "junit.xml").read_text()
    other = files.options(**{"fail-on": "finding", "seed": 7})
    answer = run(*other, "--baseline", accepted, "--out", tmp_path / "other")
    assert answer.code == 1
    assert "nothing is accepted" in answer.out
    assert run(*words).code == 1  # without the baseline again
    assert not any(each.accepted for each in read_findings(out / "findings.json"))
