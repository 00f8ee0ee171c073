"""The sentences and numbers of the report."""

import dataclasses
import json
from pathlib import Path

import pytest

from anomech import records
from anomech.report import words
from anomech.report.run import folder as folders
from anomech.report.run import outcome
from anomech.report.run.render import render


@pytest.mark.parametrize(
    ("share", "said"), [(0.01, "1 %"), (0.005, "0.5 %"), (0.1234, "12.3 %"), (1.0, "100 %")]
)
def test_percent(share, said):
    assert words.percent(share).replace("\N{NO-BREAK SPACE}", " ") == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "–"), (0.0, "0"), (3.0, "3"), (0.00012345, "0.000123"), (1234567.0, "1,230,000"),
     (1e-9, "1e-09"), (-2.5, "-2.5"), (100.0, "100")],
)  # fmt: skip
def test_number(value, said):
    assert words.number(value) == said


def test_p_value_keeps_its_decimals():
    assert [words.p_value(value) for value in (0.73, 0.0002, None)] == ["0.730", "0.0002", "–"]


def test_clean_drops_terminal_sequences_and_direction_marks():
    assert words.clean("a\x1b[31mred\x1b[0m\x07\u202egnp.exe\x9b\nb") == "aredgnp.exe\nb"
    assert words.clean("\x1b]0;title\x07name") == "name"


def test_moment_tail_and_seconds():
    assert words.moment("2026-03-02T09:14:55.123456+00:00") == "2026-03-02 09:14 UTC"
    assert words.moment("yesterday") == "yesterday"
    assert words.tail("a/b/c.png") == "c.png"
    assert words.seconds(3725).replace("\N{NO-BREAK SPACE}", " ") == "1 h 2 min"


def test_chance_says_what_the_budget_bounds(maker, tmp_path):
    run = folders.read(maker().write(tmp_path / "run")).run
    rarely = run.model_copy(update={"tolerated": 7})
    assert "rarely more than 7" in outcome.chance(rarely, 100)
    assert "rarely" not in outcome.chance(run.model_copy(update={"tolerated": None}), 100)
    batch = outcome.chance(run.model_copy(update={"control": "batch"}), 100)
    assert "at most, are expected to be false" in batch


def test_the_true_rate_is_told_beside_the_budget(maker, tmp_path):
    run = folders.read(maker().write(tmp_path / "run")).run
    rate = records.FalseFlagRate(mean=0.0099, spread=0.0031, low=0.0048, high=0.0168)
    told = outcome.chance(run.model_copy(update={"rate": rate, "budget": 0.01}), 100)
    assert told.replace("\N{NO-BREAK SPACE}", " ").endswith(
        "With so many calibration examples 1 % means 1.0 %, give or take 0.3 %."
    )
    small = rate.model_copy(update={"mean": 0.00049})
    told = outcome.known_rate(0.0005, small).replace("\N{NO-BREAK SPACE}", " ")
    assert "0.05 % means 0.049 %" in told


def test_alarm_calm_and_few_alike(maker, tmp_path):
    alarm = outcome.answer(folders.read(maker(groups=(10, 5)).write(tmp_path / "alarm")))
    assert alarm.level == "alarm"
    assert alarm.headline == "18 of 60 inputs were flagged."
    assert "about 1 would be expected by chance alone" in alarm.chance
    assert any("15 of the 18 respond alike, in 2 groups" in text for text in alarm.meaning)
    calm = outcome.answer(folders.read(maker(groups=(), lone=1).write(tmp_path / "calm")))
    assert calm.level == "calm"
    assert calm.headline == "1 of 60 inputs was flagged."
    alike = maker(inputs=400, groups=(6,), lone=0, budget=0.02)
    few = outcome.answer(folders.read(alike.write(tmp_path / "few")))
    assert few.level == "alarm"
    assert "within what chance gives" in few.meaning[0]


def test_unjudged_inputs_are_not_called_clear(folder: Path):
    whole = folders.read(folder)
    unsure = {"inconclusive": whole.verdicts}
    none = outcome.answer(dataclasses.replace(whole, decisions=unsure, flagged=()))
    assert none.level == "open"
    assert none.headline == "No input could be judged."


def test_doubtful_trusted_examples_are_shown_and_keep_the_answer_open(maker, tmp_path):
    run = maker(groups=(), lone=1).write(tmp_path / "run")
    rows = [json.loads(line) for line in (run / "examples.jsonl").read_text().splitlines()]
    place = next(i for i, row in enumerate(rows) if row["role"] == "anchor" and row["used"])
    rows[place]["reason"] = "it lies <apart>"
    (run / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = folders.read(run)
    assert {reason: group.count for reason, group in folder.doubtful.items()} == {
        "it lies <apart>": 1
    }
    assert "it lies <apart>" not in folder.left_out
    told = outcome.answer(folder)
    assert told.level == "open"
    assert any("lie apart from their class" in step for step in told.steps)
    page = render(run).read_text(encoding="utf-8")
    assert "Trusted, and worth a look" in page
    assert "it lies &lt;apart&gt;" in page


def test_every_status_has_words():
    assert set(words.STATUS) == set(records.Status.__args__)


def quiet(maker, tmp_path, *tried):
    """A run folder in which nothing is flagged, with what was planted."""
    folder = folders.read(maker(groups=(), lone=0).write(tmp_path / "run"))
    run = folder.run.model_copy(update={"sensitivity": tried, "mechanisms": ()})
    return dataclasses.replace(folder, run=run)


def planted(trigger, caught, **changed):
    """What a planted trigger gave."""
    ends = {} if caught is None else {"low": caught / 2, "high": (1 + caught) / 2}
    return records.Sensitivity(
        trigger=trigger, target="3", success=0.95, agreement=0.9, took=True, steps=80, uses=50,
        caught=caught, **ends, **changed,
    )  # fmt: skip


def test_beside_nothing_found_stands_what_would_have_been_caught(maker, tmp_path):
    lost = planted("warp", None).model_copy(update={"took": False})
    told = outcome.answer(
        quiet(maker, tmp_path, planted("patch", 0.96), planted("blend", 0.6), lost)
    )
    (sentence,) = [each for each in told.meaning if "planted" in each]
    sentence = sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert "the patch would have been caught in 96 % of its uses" in sentence
    assert "the blend would have been caught in 60 % of its uses" in sentence
    assert "the warp did not take" in sentence
    assert "no promise" in sentence
    assert told.level == "calm"


def test_an_audit_with_little_power_is_no_calm_answer(maker, tmp_path):
    told = outcome.answer(quiet(maker, tmp_path, planted("patch", 0.3)))
    assert told.level == "open"


def test_a_quiet_audit_with_a_grave_finding_is_no_calm_answer(maker, tmp_path):
    folder = quiet(maker, tmp_path)
    grave = records.Finding(
        code="trusted-trigger", severity="high", title="Too alike", detail="d", action="a"
    )
    told = outcome.answer(dataclasses.replace(folder, findings=(grave,)))
    assert told.level == "open"
    assert "Too alike." in told.meaning
    assert len(told.steps) == 1
    accepted = grave.model_copy(update={"accepted": "known"})
    assert outcome.answer(dataclasses.replace(folder, findings=(accepted,))).level == "calm"


def test_an_audit_that_did_not_measure_it_says_so(maker, tmp_path):
    told = outcome.answer(quiet(maker, tmp_path))
    assert any("was not measured; --sensitivity measures it" in each for each in told.meaning)
