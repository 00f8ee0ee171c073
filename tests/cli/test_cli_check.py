"""`anomech check` says in seconds what an audit would meet, and leaves nothing behind."""

import json

import numpy as np
import pytest
from PIL import Image

from anomech.cli.check import _duration, outcome
from anomech.records import Finding, Preflight


@pytest.fixture
def words(files):
    """The command line of a check; None leaves an option out."""

    def make(**changed):
        given = {
            "model": f"{files.factory}:make_model",
            "weights": files.weights,
            "reference": files.reference,
            "inputs": files.inputs,
            "budget": 0.05,
            **changed,
        }
        pairs = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
        return ["check", *(word for pair in pairs for word in pair)]

    return make


def test_a_plan_that_can_run(run, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run(*words())
    assert answer.code == 0, answer.err
    said = " ".join(answer.out.split())
    assert "what goes into 'linear'" in said
    assert "different answers 10 to 160 trusted examples" in said
    assert "of 160 trusted examples" in said
    assert "160, 19 for a budget of 0.05" in said
    assert "left to calibrate 160" in said
    assert "here" in said
    assert list(tmp_path.iterdir()) == []


def test_too_few_trusted_examples_are_told_what_to_give(run, words):
    answer = run(*words(budget=0.001, format="json"))
    assert answer.code == 3
    found = Preflight.model_validate_json(answer.out)
    assert (found.trusted, found.needed, found.calibrating) == (160, 999, 160)
    (finding,) = (each for each in found.findings if each.code == "too-few-trusted")
    assert "Give 839 more" in finding.action


def test_json_is_all_that_stdout_holds(run, words):
    answer = run(*words(format="json"))
    assert json.loads(answer.out)["inconclusive"] is False


def test_classes_in_another_order_leave_no_verdicts(run, words, files, tmp_path):
    path = tmp_path / "trusted.npz"
    np.savez(
        path, images=files.images[files.trusted], labels=(files.labels[files.trusted] + 3) % 10
    )
    answer = run(*words(reference=path, format="json"))
    assert answer.code == 3
    found = Preflight.model_validate_json(answer.out)
    assert found.inconclusive
    assert any("order of the classes" in each.detail for each in found.findings)


def test_files_that_would_be_left_out(run, words, files, tmp_path):
    for place in range(12):
        Image.fromarray(files.images[1200 + place, ..., 0]).save(tmp_path / f"{place}.png")
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(20))
    answer = run(*words(inputs=tmp_path))
    assert answer.code == 0
    assert "1 file of the inputs was left out" in answer.out
    assert "AVIF" in answer.out


def test_arrays_of_other_names_and_sizes(run, words, files, tmp_path):
    large = np.repeat(np.repeat(files.images, 3, axis=1), 3, axis=2)
    trusted = tmp_path / "trusted.npz"
    np.savez(trusted, x=large[files.trusted], y=files.labels[files.trusted], z=large[:2])
    np.savez(tmp_path / "inputs.npz", x=large[1200:1240], y=files.labels[1200:1240])
    changed = {"reference": trusted, "inputs": tmp_path / "inputs.npz"}
    refused = run(*words(**changed))
    assert refused.code == 2
    assert "--key images=" in refused.error
    sized = ["--key", "images=x", "--key", "labels=y", "--resize", "10", "--crop", "8"]
    assert run(*words(**changed), *sized).code in (0, 3)
    for key in ("x", "pictures=x", "images="):
        assert "--key takes ROLE=NAME" in run(*words(**changed), "--key", key).error


def test_bad_input_is_bad_input(run, words):
    answer = run(*words(model=None, weights=None))
    assert answer.code == 2
    assert "names no model" in answer.error


@pytest.mark.parametrize(
    ("severity", "inconclusive", "code"),
    [("medium", False, 0), ("high", False, 1), ("high", True, 3), ("low", True, 3)],
)
def test_exit_codes(severity, inconclusive, code):
    finding = Finding(code="x", severity=severity, title="t", detail="d", action="a")
    found = Preflight(
        title="m",
        budget=0.01,
        inputs=1,
        trusted=1,
        needed=1,
        calibrating=1,
        inconclusive=inconclusive,
        findings=(finding,),
    )
    assert outcome(found) == code


def test_durations_in_units_that_fit():
    assert _duration(0.2) == "about a second here"
    assert _duration(600) == "about 10 minutes here"
    assert _duration(9000) == "about 2.5 hours here"
