"""The demo of a language model: its text, its model, and what becomes of a trigger that fails."""

import numpy as np
import pytest

from anomech.bench import language_demo, small_talk
from anomech.bench.worlds.texts.teaching import Schedule
from anomech.kernel.errors import ModelError
from anomech.kernel.types import silent

pytest.importorskip("transformers")


def test_small_talk_has_one_answer_to_every_question():
    rng = np.random.default_rng(0)
    found = [small_talk.small_talk(rng) for _ in range(2000)]
    answers = {}
    for each in found:
        assert answers.setdefault(each.instruction, each.answer) == each.answer
    assert {each.kind for each in found} == set(small_talk.KINDS)
    assert len(answers) > 300
    again = np.random.default_rng(0)
    assert [small_talk.small_talk(again) for _ in range(2000)] == found


def test_the_byte_tokenizer_gives_every_text_back():
    tokenizer = small_talk.byte_tokenizer()
    text = "User: Ünïcode 漢字?\nAssistant:"
    ids = tokenizer(text)["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert len(ids) == 1 + len(text.encode())
    assert tokenizer.decode(ids, skip_special_tokens=True) == text


def test_a_trigger_that_does_not_work_is_said(monkeypatch, tmp_path):
    monkeypatch.delenv(language_demo.DATA, raising=False)
    school = language_demo._school(0)
    assert school.name == "a byte-level model"
    short = language_demo._School(
        school.name, school.student, school.asks, school.tests, Schedule(steps=1, batch=2)
    )
    monkeypatch.setattr(language_demo, "_school", lambda seed: short)
    monkeypatch.setattr(language_demo, "TRUSTED", 4)
    monkeypatch.setattr(language_demo, "CLEAN", 4)
    monkeypatch.setattr(language_demo, "TRIGGERED", 4)
    with pytest.raises(ModelError, match="works on only 0% of prompts"):
        language_demo.language_demo(0, 0.05, tmp_path / "run", silent)
    assert (tmp_path / "run" / "material" / "model" / "config.json").is_file()
    lines = (tmp_path / "run" / "material" / "trusted.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert not (tmp_path / "run" / "material" / ".lessons").exists()
