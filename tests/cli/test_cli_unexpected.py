"""No fault and no trick of a model's code ends an audit as if all were well."""

import re
import signal
from pathlib import Path

import numpy as np
import pytest

from anomech.records import Run, read_record

FORWARD = """
from torch import nn


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        {act}
        return self.last(x.flatten(1))


def make_model():
    return Network()
"""

FACTORY = """
import sys
{act}


def make_model():
    {inside}
"""

ACTS = {
    "exit-0": "import sys; sys.exit(0)",
    "exit": "raise SystemExit",
    "base": "raise BaseException('not an Exception')",
    "generator": "raise GeneratorExit",
    "no-ctrl-c": "raise KeyboardInterrupt",
    "own": "raise type('Own', (BaseException,), {})()",
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
@pytest.mark.parametrize("place", ["import", "factory", "forward"])
def test_code_of_a_model_cannot_end_an_audit_well(run, files, tmp_path, one_sentence, act, place):
    text = {
        "import": FACTORY.format(act=act, inside="pass"),
        "factory": FACTORY.format(act="", inside=act),
        "forward": FORWARD.format(act=act),
    }[place]
    (tmp_path / "mine.py").write_text(text)
    out = tmp_path / "run"
    options = files.options(model=f"{tmp_path / 'mine.py'}:make_model", weights=None)
    answer = run(*options, "--out", out)
    assert answer.code == 2, answer.err
    one_sentence(answer.error)
    assert read_record(out / "run.json", Run).status == "failed"


@pytest.mark.parametrize("error", [RuntimeError("a fault"), SystemExit(0), MemoryError()])
def test_what_nobody_foresaw_has_a_code_of_its_own(
    run, files, tmp_path, monkeypatch, one_sentence, error
):
    def broken(*words, **named):
        raise error

    monkeypatch.setattr("anomech.audit.pipeline.fit", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = run(*files.options(), "--out", tmp_path / "run")
    assert answer.code == 4
    one_sentence(answer.error)
    assert read_record(tmp_path / "run" / "run.json", Run).status == "failed"
    if isinstance(error, MemoryError):
        assert "--memory" in answer.error
        return
    details = tmp_path / "run" / "error.txt"
    assert f"see {details}" in answer.error
    assert "in broken" in details.read_text()
    monkeypatch.undo()
    assert run(*files.options(), "--out", tmp_path / "run").code == 0
    assert not details.exists()


def test_without_a_run_folder_details_go_to_a_file_of_their_own(run, files, tmp_path, monkeypatch):
    def broken(*words, **named):
        raise RuntimeError("a fault")

    monkeypatch.setattr("anomech.audit.pipeline.open_folder", broken)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    out = tmp_path / "run"
    answer = run(*files.options(), "--out", out)
    assert answer.code == 4
    details = re.search(r"see (\S+anomech-error-\S+\.txt)", answer.error)
    assert "in broken" in Path(details[1]).read_text()
    assert list(out.iterdir()) == []


def test_ctrl_c_stays_ctrl_c(run, files, tmp_path):
    act = "import os, signal; os.kill(os.getpid(), signal.SIGINT)"
    (tmp_path / "mine.py").write_text(FORWARD.format(act=act))
    options = files.options(model=f"{tmp_path / 'mine.py'}:make_model", weights=None)
    before = signal.getsignal(signal.SIGINT)
    assert run(*options, "--out", tmp_path / "run").code == 130
    assert signal.getsignal(signal.SIGINT) is before


def test_the_exit_codes_stand_in_the_help(run):
    answer = run("audit", "--help")
    said = " ".join(answer.out.replace("│", " ").split())
    for words in ("1 found", "2 bad input", "3 too little", "4 an unexpected error", "logits"):
        assert words in said
    assert re.search(r"fail-on.*default: finding", said)


def test_high_findings_fail_by_default(run, files, finished, tmp_path):
    assert run(*files.options(**{"fail-on": None}), "--out", finished).code == 1
    clean = tmp_path / "clean.npz"
    np.savez(clean, images=files.images[1200:1240])
    options = files.options(inputs=clean, **{"fail-on": None})
    assert run(*options, "--out", tmp_path / "run").code == 0


def test_messages_stay_short(run, files, tmp_path):
    long = "/".join(["a" * 200] * 25)
    for changed in ({"inputs": long}, {"model": f"{long}.py:f"}, {"plan": long}, {"weights": long}):
        answer = run(*files.options(**changed), "--out", tmp_path / "run")
        assert answer.code == 2
        assert len(answer.error) < 1100, changed
