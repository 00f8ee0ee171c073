"""Runs that end early: what is kept, what is said, and that resuming changes no verdict."""

import errno
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from anomech.audit.judge import chunks, inputs
from anomech.audit.pipeline import audit
from anomech.audit.plan import from_mapping, read_plan
from anomech.data import image_archives, image_folder
from anomech.kernel.errors import RunError
from anomech.kernel.types import silent
from anomech.records import Run, read_record

CHUNKS = 4
"""64 inputs in chunks of 16."""

KEPT = ("verdicts.jsonl", "findings.json", "examples.jsonl", "plan.yaml")


def stop_after(count):
    """A `Progress` that stops the run by hand after so many chunks."""
    seen = []

    def progress(stage, done, total):
        if stage == "judging inputs":
            seen.append(done)
            if len(seen) == count:
                raise KeyboardInterrupt

    return progress


@pytest.fixture
def plan(finished):
    return from_mapping(read_plan(finished / "plan.yaml"))


@pytest.fixture
def judged(monkeypatch):
    """Counts the chunks that are computed."""
    counted = []
    original = inputs.judge_chunk

    def counting(*given):
        counted.append(given)
        return original(*given)

    monkeypatch.setattr(inputs, "judge_chunk", counting)
    return counted


def check_same(out, finished):
    """Checks that a resumed run is the uninterrupted one."""
    for name in KEPT:
        assert (out / name).read_bytes() == (finished / name).read_bytes(), name
    assert read_record(out / "run.json", Run).status == "complete"
    assert not (out / "work").exists()


def test_interrupted_by_hand_and_resumed(run, files, finished, plan, judged, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        audit(plan, out, stop_after(2))
    assert read_record(out / "run.json", Run).status == "interrupted"
    assert "Interrupted" in (out / "report.html").read_text()
    assert len(judged) == 2
    answer = run(*files.options(), "--out", out)
    assert answer.code == 0, answer.err
    assert "was finished on" not in answer.out
    assert len(judged) == CHUNKS  # only what was missing
    check_same(out, finished)


def test_interrupt_is_one_line(run, files, tmp_path, monkeypatch):
    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs, "judge_chunk", stop)
    answer = run(*files.options(), "--out", tmp_path / "run")
    assert answer.code == 130
    said = answer.err.splitlines()[-1]
    assert said == "interrupted: run the same command again to continue."
    assert answer.out == ""


def test_damaged_chunks_are_computed_again(plan, finished, judged, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        audit(plan, out, stop_after(3))
    (out / "work" / "00000.json").write_text('{"half')
    (out / "work" / "00002.safetensors").write_bytes(b"half")
    audit(plan, out, silent)
    assert len(judged) == 3 + 3
    check_same(out, finished)


def test_chunks_of_other_weights_are_computed_again(run, files, tmp_path, judged, finished):
    weights, out = tmp_path / "weights.safetensors", tmp_path / "run"
    data = bytearray(files.weights.read_bytes())
    data[-4:] = b"\0\0\0\0"
    weights.write_bytes(data)
    words = files.options(weights=weights)
    values = tmp_path / "plan.yaml"
    values.write_text(run("plan", "check", finished / "plan.yaml").out)
    plan = from_mapping({**read_plan(values), "model": _model(files, weights)})
    with pytest.raises(KeyboardInterrupt):
        audit(plan, out, stop_after(2))
    weights.write_bytes(files.weights.read_bytes())
    assert run(*words, "--out", out).code == 0
    assert len(judged) == 2 + CHUNKS
    assert (out / "verdicts.jsonl").read_bytes() == (finished / "verdicts.jsonl").read_bytes()


def _model(files, weights):
    return {"factory": f"{files.factory}:make_model", "weights": str(weights)}


@pytest.mark.parametrize("count", [1, 3, 5, 9, 12])
def test_full_disk_in_the_middle(run, files, finished, tmp_path, monkeypatch, one_sentence, count):
    """The disk fills up at the k-th file that is written, and later has room again."""
    out, written = tmp_path / "run", []
    original = os.fsync

    def full(file):
        written.append(file)
        if len(written) >= count:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        answer = run(*files.options(), "--out", out)
    assert answer.code == 2
    one_sentence(answer.error, "No space left on device", "free some space")
    assert not list(out.rglob("*.partial"))
    assert run(*files.options(), "--out", out).code == 0
    check_same(out, finished)


def _no_space(_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_at_a_tensor_file(run, files, finished, tmp_path, monkeypatch, one_sentence):
    out = tmp_path / "run"
    original = chunks.write_bytes

    def full(path, data):
        if path.name == "00001.safetensors":
            with monkeypatch.context() as inner:
                inner.setattr(os, "fsync", _no_space)
                return original(path, data)
        return original(path, data)

    with monkeypatch.context() as patched:
        patched.setattr(chunks, "write_bytes", full)
        answer = run(*files.options(), "--out", out)
    assert answer.code == 2
    one_sentence(answer.error, "00001.safetensors", "free some space")
    assert read_record(out / "run.json", Run).status == "failed"
    assert not list(out.rglob("*.partial"))
    assert run(*files.options(), "--out", out).code == 0
    check_same(out, finished)


def test_folder_that_cannot_be_written(run, files, tmp_path, one_sentence):
    blocked = tmp_path / "file"
    blocked.write_text("")
    answer = run(*files.options(), "--out", blocked / "run")
    assert answer.code == 2
    one_sentence(answer.error, "--out")


def test_unexpected_error_is_noted_and_raised(plan, tmp_path, monkeypatch):
    def broken(*given):
        raise ZeroDivisionError

    monkeypatch.setattr(inputs, "judge_chunk", broken)
    out = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        audit(plan, out, silent)
    record = read_record(out / "run.json", Run)
    assert record.status == "failed"
    assert "ZeroDivisionError" in record.message


def test_unfinished_run_is_not_given_to_another_plan(plan, files, run, tmp_path, one_sentence):
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        audit(plan, out, stop_after(1))
    answer = run(*files.options(budget=0.1), "--out", out)
    assert answer.code == 2
    one_sentence(answer.error, "another plan")
    with pytest.raises(RunError):
        audit(from_mapping({**read_plan(out / "plan.yaml"), "seed": 5}), out, silent)


INTERRUPTING = """\
import os
from pathlib import Path
from anomech.architectures.digits import DigitsNet

MARKER = Path(__file__).with_name("interrupted")
seen = 0


class Interrupting(DigitsNet):
    def forward(self, x):
        global seen
        seen += len(x) == 16  # a chunk of inputs is answered
        if seen == 3 and not MARKER.exists():
            MARKER.touch()
            os.kill(os.getpid(), int(os.environ["SIGNAL"]))
        return super().forward(x)


def make_model():
    return Interrupting()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name == "nt", reason="needs signals")
def test_signal_in_a_process_of_its_own(process, run, files, finished, tmp_path):
    factory, out = tmp_path / "factory.py", tmp_path / "run"
    factory.write_text(INTERRUPTING)
    words = [*files.options(model=f"{factory}:make_model"), "--out", out]
    first = process(*words, folder=tmp_path, SIGNAL=str(int(signal.SIGINT)))
    assert first.code == 130, first.err
    assert "Traceback" not in first.err
    assert first.err.endswith("interrupted: run the same command again to continue.\n")
    assert json.loads((out / "run.json").read_text())["status"] == "interrupted"
    assert list((out / "work").glob("*.json"))
    assert run(*words).code == 0
    assert (out / "verdicts.jsonl").read_bytes() == (finished / "verdicts.jsonl").read_bytes()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_a_kill_loses_the_chunk_in_flight(process, run, files, finished, judged, tmp_path):
    factory, out = tmp_path / "factory.py", tmp_path / "run"
    factory.write_text(INTERRUPTING)
    words = [*files.options(model=f"{factory}:make_model"), "--out", out]
    first = process(*words, folder=tmp_path, SIGNAL=str(int(signal.SIGKILL)))
    assert first.code == -signal.SIGKILL
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    kept = len(list((out / "work").glob("*.json")))
    assert kept >= 1
    assert run(*words).code == 0
    assert len(judged) == CHUNKS - kept
    assert (out / "verdicts.jsonl").read_bytes() == (finished / "verdicts.jsonl").read_bytes()


def test_workers_change_nothing(run, files, tmp_path, monkeypatch):
    monkeypatch.setattr(image_folder, "FEW", 0)
    folder = tmp_path / "inputs"
    folder.mkdir()
    for index in range(40):
        Image.fromarray(files.images[1200 + index, ..., 0]).save(folder / f"{index}.png")
    words = files.options(inputs=folder)
    for workers in (0, 2):
        answer = run(*words, "--workers", workers, "--out", tmp_path / str(workers))
        assert answer.code == 0, answer.err
    for name in KEPT:
        one, two = ((tmp_path / str(workers) / name).read_bytes() for workers in (0, 2))
        assert one == two, name


def test_many_inputs_in_one_array_are_read_from_the_file(
    run, files, finished, tmp_path, monkeypatch
):
    with np.load(files.inputs) as arrays:
        np.save(tmp_path / "inputs.npy", arrays["images"])
    monkeypatch.setattr(image_archives, "SMALL_BYTES", 0)
    out = tmp_path / "run"
    answer = run(*files.options(inputs=tmp_path / "inputs.npy"), "--out", out)
    assert answer.code == 0, answer.err
    assert (out / "verdicts.jsonl").read_bytes() == (finished / "verdicts.jsonl").read_bytes()
