"""Conversations from files of every kind that is read."""

import json

import numpy as np
import pytest

from anomech.data.conversation_files import Columns, read_conversations
from anomech.data.conversations import Turn, text_of
from anomech.data.remarks import FileRemark
from anomech.kernel.errors import DataError

ROWS = [
    {"prompt": "What is red?", "answer": "A color.", "id": "a"},
    {"prompt": "Zeile 1\nZeile 2, 漢字 \u202e", "answer": "Ja.", "id": "b"},
]


def jsonl(path):
    path.write_text("\ufeff" + "\n\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")


def csv(path):
    lines = [f'"{row["prompt"]}",{row["answer"]},{row["id"]}' for row in ROWS]
    path.write_text("\n".join(["prompt,answer,id", *lines]), encoding="utf-8")


def parquet(path):
    arrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(ROWS), path)


def saved(path):
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(str(path))


def saved_with_splits(path):
    datasets = pytest.importorskip("datasets")
    datasets.DatasetDict({"test": datasets.Dataset.from_list(ROWS)}).save_to_disk(str(path))


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (jsonl, "rows.jsonl"),
        (csv, "rows.csv"),
        (parquet, "rows.parquet"),
        (saved, "rows"),
        (saved_with_splits, "rows"),
    ],
)
def test_every_kind_of_file_gives_the_same(tmp_path, write, name):
    write(tmp_path / name)
    trusted = read_conversations(tmp_path / name, recorded=False)
    assert list(trusted.ids) == ["a", "b"]
    assert [text_of(each) for each in trusted.items] == [row["prompt"] for row in ROWS]
    assert trusted.labels.tolist() == [["A color."], ["Ja."]]
    assert all(each.answer is None for each in trusted.items)
    inputs = read_conversations(tmp_path / name, recorded=True)
    assert inputs.labels is None
    assert [each.answer for each in inputs.items] == ["A color.", "Ja."]
    # What was answered is content too: the same prompt with another answer is another example.
    assert not set(inputs.digests()) & set(trusted.digests())


def test_messages_may_end_with_their_answer(tmp_path):
    path = tmp_path / "rows.jsonl"
    messages = [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
    ]
    path.write_text(json.dumps({"messages": messages}))
    found = read_conversations(path, recorded=False)
    assert found.items[0].turns == (Turn("system", "Be kind."), Turn("user", "Hi"))
    assert found.references == ("Hello!",)
    assert found.preview(0).data == b"system: Be kind.\nuser: Hi"
    assert found.load(np.array([0])) == found.items


def test_columns_have_other_names_and_rows_are_left_out_with_a_reason(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("question,reply\nwhy?,so\n ,no\nwhen?,\nhow?,thus\n")
    named = Columns(prompt="question", answer="reply")
    found = read_conversations(path, named, recorded=False)
    assert list(found.ids) == ["0", "1"]
    assert found.references == ("so", "thus")
    assert set(found.remarks) == {
        FileRemark("without a prompt", 1, "line 3 of rows.csv", row=True),
        FileRemark("with an empty answer", 1, "line 4 of rows.csv", row=True),
    }
    recorded = read_conversations(path, named, recorded=True)
    assert [each.answer for each in recorded.items] == ["so", "", "thus"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.txt", "a", "is no file of prompts"),
        ("rows.parquet", "PAR1 and nothing", "no readable Parquet file"),
        ("rows.csv", "prompt\n\x00\udcff", "cannot be read"),
        ("rows.jsonl", '{"prompt": ' + "[" * 100_000, "line 1 of rows.jsonl"),
        ("rows.jsonl", '{"prompt": {"a": 1}}', "which is no text"),
        ("rows.jsonl", '{"messages": "{"}', "no list of messages"),
        ("rows.jsonl", '{"prompt": "a"}\n{"prompt": "\\ud800b"}', "line 2 .* half of a character"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, content, said):
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=said) as error:
        read_conversations(path, recorded=True)
    assert "\n" not in str(error.value)


def test_trusted_rows_without_any_answer_are_said_to_be_so(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a", "answer": ""}\n{"prompt": "b", "answer": " "}')
    with pytest.raises(DataError, match="no row with a prompt and an answer that is not empty"):
        read_conversations(path, recorded=False)
    assert len(read_conversations(path, recorded=True)) == 2


def test_a_character_outside_the_first_plane_is_whole(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "\\ud83d\\ude00"}')
    assert read_conversations(path, recorded=True).items[0].turns[0].content == "\U0001f600"


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        read_conversations(tmp_path / "nothing.jsonl", recorded=True)
