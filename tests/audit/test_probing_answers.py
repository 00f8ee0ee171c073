"""Findings about all answers together, and about files."""

from anomech.audit.probing import answers, files
from anomech.data.remarks import FileRemark


def test_a_shift_names_the_class_and_the_counts_and_never_fails_a_build():
    (found,) = answers.probe({"a": 572, "b": 88}, {"a": 970, "b": 30})
    assert found.code == "answers-shifted"
    assert not found.fails
    assert "88 of 660 inputs are answered 'b'" in found.title
    assert "13.3% of the inputs against 3.0%" in found.detail
    assert "30 of 1000" in found.detail
    assert answers.probe({"a": 560, "b": 20}, {"a": 970, "b": 30}) == []
    assert answers.probe({}, {"a": 1}) == []


def test_files_are_told_by_reason():
    class Examples:
        remarks = (
            FileRemark("AVIF pictures, which are not read", 3, "a.avif", picture=True),
            FileRemark("hidden or system files", 1, ".x"),
            FileRemark("whose metadata ask to turn them", 2, "b.jpg", judged=True, picture=True),
        )

    left_out, converted = files.probe("inputs", Examples())
    assert left_out.title == "4 files of the inputs were left out"
    assert left_out.severity == "medium"
    assert "3 AVIF pictures, which are not read (such as 'a.avif')" in left_out.detail
    assert "2 whose metadata ask" in converted.detail
    assert not converted.fails
    assert files.probe("inputs", object()) == []
