"""A training set screened by command line: what comes out, and how it ends."""

import csv

import numpy as np
import pytest

from anomech.attacks.badnets import Badnets
from anomech.records import Screening, TrainingRow, read_findings, read_record, read_rows

CHEAP = (
    *("--set", "screens.functional_attribution.detector.tracer.features=128"),
    *("--set", "screens.functional_attribution.detector.twins.rungs=0"),
)


@pytest.fixture(scope="module")
def poisoned(files, tmp_path_factory):
    """A training set with a patch in a tenth of it, which the network of the files has learned."""
    made = Badnets(ratio=0.1, size=2).poison(files.images[:600], files.labels[:600], seed=3)
    path = tmp_path_factory.mktemp("data") / "train.npz"
    np.savez(path, images=made.inputs, labels=made.labels)
    return path, made.poisoned


@pytest.fixture
def words(files, poisoned, tmp_path):
    path, _ = poisoned
    return [
        *("screen", "--data", str(path), "--out", str(tmp_path / "run")),
        *("--model", f"{files.factory}:make_model", "--weights", str(files.weights)),
        *("--reference", str(files.reference), "--screen", "functional_attribution", *CHEAP),
    ]


def test_poison_comes_first_and_is_listed(run, words, poisoned, tmp_path):
    result = run(*words, "--screen", "spectral_signatures")
    assert result.code == 1, result.err
    assert "are suspected by functional_attribution" in result.out
    out, (_, truth) = tmp_path / "run", poisoned
    rows = read_rows(out / "rows.jsonl", TrainingRow)
    assert [row.place for row in sorted(rows, key=lambda row: row.place)] == list(range(600))
    first = [row.place for row in rows[: truth.sum()]]
    assert truth[first].mean() > 0.9
    listed = [int(row["place"]) for row in csv.DictReader((out / "suspects.csv").open())]
    clean = [int(row["place"]) for row in csv.DictReader((out / "clean.csv").open())]
    assert sorted(listed + clean) == list(range(600))
    assert truth[listed].sum() > 0.6 * truth.sum()
    record = read_record(out / "screening.json", Screening)
    assert record.suspects == len(listed)
    assert [each.name for each in record.screens] == [
        "functional_attribution",
        "spectral_signatures",
    ]
    codes = {each.code: each.severity for each in read_findings(out / "findings.json")}
    assert codes["poison-suspected"] == "high"
    page = (out / "report.html").read_text()
    assert "Which of these training examples are poisoned?" in page
    assert "<script" not in page
    again = run(*words, "--screen", "spectral_signatures")
    assert again.code == 1
    assert "tracing" not in again.err


def test_a_network_is_trained_where_none_is_given(run, poisoned, tmp_path):
    path, _ = poisoned
    out = tmp_path / "run"
    result = run(
        *("screen", "--data", str(path), "--out", str(out), "--screen", "spectral_signatures"),
        *("--set", "network=digits", "--set", "recipe.epochs=2"),
    )
    assert result.code == 0, result.err
    record = read_record(out / "screening.json", Screening)
    assert record.trained
    assert len(list(out.glob("model-*.safetensors"))) == 1
    # It promises no rate, so what it suspects fails nothing that was not asked for.
    codes = {each.code: each.severity for each in read_findings(out / "findings.json")}
    assert codes["poison-suspected"] == "medium"


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (["--screen", "functional_attribution"], "give --reference PATH"),
        (["--screen", "nothing"], "nothing"),
        (["--set", "lead=agpd", "--screen", "scan"], "none of the screens"),
    ],
)
def test_what_cannot_run_is_said_in_a_sentence(run, poisoned, tmp_path, changed, says):
    path, _ = poisoned
    result = run("screen", "--data", str(path), "--out", str(tmp_path / "r"), *changed)
    assert result.code == 2
    assert says in result.error


def test_a_network_of_another_size_is_no_surprise(run, tmp_path, one_sentence):
    images = np.random.default_rng(0).integers(0, 255, (40, 12, 12, 1), np.uint8)
    np.savez(tmp_path / "large.npz", images=images, labels=np.arange(40) % 2)
    out = ("--set", "network=digits", "--out", tmp_path / "run")
    answer = run("screen", "--data", tmp_path / "large.npz", *out)
    assert answer.code == 2
    one_sentence(answer.error, "does not take images of 12x12", "describe architecture")


def test_unlabeled_and_missing_data_are_said(run, tmp_path):
    np.savez(tmp_path / "bare.npz", images=np.zeros((30, 8, 8, 1), np.uint8))
    out = str(tmp_path / "run")
    bare = run("screen", "--data", str(tmp_path / "bare.npz"), "--out", out)
    assert bare.code == 2
    assert "labels" in bare.error
    assert "give --data PATH" in run("screen").error
