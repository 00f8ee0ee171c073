"""What was accepted is accepted only as long as nothing changes."""

from dataclasses import replace
from datetime import date

import pytest
import yaml

from anomech.evidence.baseline import apply, read, written
from anomech.evidence.subject import read as subject_of
from anomech.kernel.errors import ConfigError

TODAY = date(2026, 11, 26)


@pytest.fixture
def baseline(scanned, found, tmp_path):
    """A baseline of two findings, with its file."""
    subject = subject_of(scanned(found(), found("odd-name", "medium", where="notes.txt")))
    path = tmp_path / "accepted.yaml"
    path.write_text(written(subject, "reviewed by us", None, ()))
    return read(path)


def accepted(findings):
    return {each.code: each.accepted for each in findings}


def test_the_same_findings_are_accepted_and_stay_listed(baseline, found, source, rows):
    both = [found(), found("odd-name", "medium", where="notes.txt")]
    after = apply(baseline, both, source, rows, TODAY)
    assert [each.code for each in after] == ["unsafe-pickle", "odd-name"]
    assert {each.accepted for each in after} == {"reviewed by us"}
    assert not after[0].fails
    assert apply(baseline, after, source, rows, TODAY) == after


@pytest.mark.parametrize("part", ["model", "options", "reference"])
def test_another_model_or_profile_accepts_nothing(baseline, found, source, rows, part):
    other = source.model_copy(update={part: "other"})
    after = apply(baseline, [found()], other, rows, TODAY)
    assert accepted(after) == {"unsafe-pickle": "", "baseline-stale": ""}


@pytest.mark.parametrize(
    "changed",
    [{"detail": "It names posix.popen."}, {"severity": "medium"}, {"where": "b.pkl"},
     {"code": "odd-pickle"}, {"title": "another"}],
)  # fmt: skip
def test_other_evidence_is_not_accepted(baseline, found, source, rows, changed):
    after = apply(baseline, [found().model_copy(update=changed)], source, rows, TODAY)
    assert after[0].accepted == ""
    assert [each.code for each in after[1:]] == ["baseline-unused", "baseline-unused"]


def test_another_file_of_the_same_name_is_not_accepted(baseline, found, source, rows):
    other = (rows[0].model_copy(update={"sha256": "9" * 64}), *rows[1:])
    assert apply(baseline, [found()], source, other, TODAY)[0].accepted == ""


def test_an_acceptance_ends_on_its_day(baseline, found, source, rows):
    ends = tuple(replace(each, expires=TODAY) for each in baseline.accepted)
    dated = replace(baseline, accepted=ends)
    assert apply(dated, [found()], source, rows, TODAY)[0].accepted
    after = apply(dated, [found()], source, rows, date(2026, 11, 27))
    assert after[0].fails
    assert after[1].code == "baseline-expired"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[0].update(reason=" "), "has no reason"),
        (lambda rows: rows[0].pop("reason"), "has no reason"),
        (lambda rows: rows[0].pop("evidence"), "has no 'evidence'"),
        (lambda rows: rows[0].update(expires="soon"), "expires on no day"),
        (lambda rows: rows[0].update(glob="*"), "unknown key 'glob'"),
        (lambda rows: rows.append("x"), "no list of accepted findings"),
    ],
)
def test_a_damaged_file_is_refused(scanned, found, tmp_path, change, words):
    content = yaml.safe_load(written(subject_of(scanned(found())), "known", None, ()))
    change(content["accepted"])
    path = tmp_path / "bad.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=words):
        read(path)


def test_what_is_no_baseline_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="there is no baseline file"):
        read(tmp_path / "nothing.yaml")
    (tmp_path / "a.yaml").write_text("version: 7")
    with pytest.raises(ConfigError, match="of this version"):
        read(tmp_path / "a.yaml")


def test_findings_are_chosen_by_code(scanned, found):
    subject = subject_of(scanned(found(), found("other-format", "low")))
    rows = yaml.safe_load(written(subject, "", date(2027, 1, 31), ["other-format"]))["accepted"]
    assert [(row["rule"], row["reason"], row["expires"]) for row in rows] == [
        ("other-format", "", "2027-01-31")
    ]
    with pytest.raises(ConfigError, match="no finding 'nothing'"):
        written(subject, "", None, ["nothing"])
    with pytest.raises(ConfigError, match="not needed"):
        written(subject_of(scanned(name="calm")), "", None, ())
