"""Records round-trip, are written whole or not at all, and hold no NaN."""

import json
import os
import typing

import pydantic
import pytest

from anomech import records
from anomech.kernel.errors import RunError
from anomech.records import (
    Evidence,
    Finding,
    Run,
    ScoreRow,
    Verdict,
    iterate_rows,
    read_findings,
    read_record,
    read_rows,
    scorecards,
    write_findings,
    write_record,
    write_rows,
    write_text,
)

VERDICT = Verdict(
    id="a/b.png",
    answer="cat",
    score=1.5,
    p_value=0.01,
    decision="flag",
    cause="unexplained mechanism",
    views={"unexplained mechanism": 0.01},
    reason="Flagged because.",
    evidence=(Evidence(anchor="x", answer="dog", coupling=-0.25),),
    explained={"whole network": 0.5},
)
RUN = Run(
    status="complete",
    title="t",
    task="image classifier",
    budget=0.01,
    started="2026-01-01T00:00:00+00:00",
    seconds=1.0,
)
FINDING = Finding(code="X1", severity="high", title="t", detail="d", action="a")


def score(name):
    return ScoreRow(id=name, role="input", score=0.1, p_value=1.0, decision="clear")


def test_records_round_trip(tmp_path):
    write_record(tmp_path / "run.json", RUN)
    assert read_record(tmp_path / "run.json", Run) == RUN
    write_rows(tmp_path / "verdicts.jsonl", [VERDICT, VERDICT])
    assert read_rows(tmp_path / "verdicts.jsonl", Verdict) == [VERDICT, VERDICT]
    write_findings(tmp_path / "findings.json", [FINDING])
    assert read_findings(tmp_path / "findings.json") == [FINDING]


@pytest.mark.parametrize(
    "name",
    [
        "line\u2028separator",
        "paragraph\u2029",
        "next\u0085line",
        "feed\x0c",
        "new\nline",
        'q"\\',
        "日本",
    ],
)
def test_ids_of_any_text_round_trip(tmp_path, name):
    rows = [score(name), score("after")]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert list(iterate_rows(tmp_path / "rows.jsonl", ScoreRow)) == rows


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    with pytest.raises(pydantic.ValidationError):
        ScoreRow(id="a", role="input", score=value, p_value=1.0, decision="clear")
    with pytest.raises(pydantic.ValidationError):
        Evidence(anchor="a", answer="b", coupling=value)
    with pytest.raises(pydantic.ValidationError):
        Verdict.model_validate(VERDICT.model_dump() | {"explained": {"x": value}})
    text = json.dumps(score("a").model_dump() | {"score": value})
    (tmp_path / "rows.jsonl").write_text(text + "\n")
    with pytest.raises(RunError, match="score"):
        read_rows(tmp_path / "rows.jsonl", ScoreRow)


def test_records_are_immutable_and_refuse_unknown_fields():
    with pytest.raises(pydantic.ValidationError):
        VERDICT.score = 2.0
    with pytest.raises(pydantic.ValidationError):
        Finding(code="a", severity="high", title="t", detail="d", action="a", more=1)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "run.json"
    write_text(path, "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"run.json could not be written \(No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["run.json"]


def test_a_failing_row_writes_no_file(tmp_path):
    def rows():
        yield score("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(tmp_path / "rows.jsonl", rows())
    assert list(tmp_path.iterdir()) == []


def test_writing_makes_folders_and_replaces(tmp_path):
    path = tmp_path / "deep" / "er" / "a.txt"
    write_text(path, "one\n")
    write_text(path, "two\n")
    assert path.read_bytes() == b"two\n"


def test_unreadable_records_are_one_sentence(tmp_path):
    with pytest.raises(RunError, match=r"has no readable run\.json; is it a run folder\?"):
        read_record(tmp_path / "run.json", Run)
    (tmp_path / "run.json").write_text('{"status": "complete"}')
    with pytest.raises(RunError, match="does not have the form of this version"):
        read_record(tmp_path / "run.json", Run)
    (tmp_path / "run.json").write_bytes(b"\xff\xfe")
    with pytest.raises(RunError, match="no readable"):
        read_record(tmp_path / "run.json", Run)
    (tmp_path / "findings.json").write_text("{}")
    with pytest.raises(RunError, match="not a list of findings"):
        read_findings(tmp_path / "findings.json")


def every_record(cls=records.Record):
    for one in cls.__subclasses__():
        yield one
        yield from every_record(one)


def test_what_may_be_absent_can_be_read_when_it_is():
    """Files leave out what is None, so whatever may be None has to have a default."""
    found = list(every_record())
    assert {records.Run, scorecards.Scorecard} <= set(found)
    for one in found:
        for name, known in one.model_fields.items():
            optional = type(None) in typing.get_args(known.annotation)
            assert not (optional and known.is_required()), f"{one.__name__}.{name}"
