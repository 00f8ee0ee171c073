"""`anomech audit` of a model that only answers, and with less access than a model gives."""

import sys

import pytest

from anomech.records import Run, Verdict, iterate_rows, read_findings, read_record

SERVER = """\
import base64, json, sys
import numpy as np, torch
from safetensors.torch import load_file
from anomech.architectures.digits import DigitsNet

torch.set_num_threads(1)
network = DigitsNet()
network.load_state_dict(load_file(sys.argv[1]))
network.eval()
for line in sys.stdin:
    asked = json.loads(line)
    pixels = np.frombuffer(base64.b64decode(asked["pixels"]), np.uint8).reshape(asked["shape"])
    with torch.no_grad():
        found = network(torch.tensor(pixels).permute(0, 3, 1, 2).float() / 255).softmax(1)
    labels = {"labels": found.argmax(1).tolist()}
    print(json.dumps(labels if "labels" in sys.argv else {"probabilities": found.tolist()}))
    sys.stdout.flush()
"""


@pytest.fixture
def asked(files, tmp_path):
    """The command line of an audit of the network of `files` behind a program."""
    (tmp_path / "server.py").write_text(SERVER)

    def words(*more, form=""):
        command = f"command:{sys.executable} {tmp_path}/server.py {files.weights} {form}"
        plain = files.plain(model=command, weights=None)
        return [*plain, "--out", tmp_path / "run", *more]

    return words


def test_a_program_is_audited_as_the_network_behind_it(run, asked, files, tmp_path):
    strip = ("--detector", "strip", "--set", "detectors.strip.blends=4")
    answer = run(*asked(*strip, "--format", "sarif"))
    assert answer.code == 0, answer.err
    found = read_record(tmp_path / "run" / "run.json", Run)
    assert found.status == "complete"
    assert found.provenance.parameters == 0
    assert found.title == f"{sys.executable.rpartition('/')[2]} server.py weights.safetensors"
    there = tmp_path / "open"
    assert run(*files.plain(), *strip, "--out", there).code == 0
    scores = [
        [row.score for row in iterate_rows(folder / "verdicts.jsonl", Verdict)]
        for folder in (tmp_path / "run", there)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=1e-5)


def test_what_is_left_out_for_want_of_access_is_said(run, files, tmp_path):
    answer = run(
        *files.plain(access="labels"),
        *("--set", "lead=scale_up", "--set", "detectors={scale_up: {}}"),
        *("--out", tmp_path / "run"),
    )
    assert answer.code == 0, answer.err
    said = " ".join(answer.err.split())
    assert "labels; consensus, scale_up, teco" in said
    assert "strip (probabilities and queries)" in said
    assert "functional_attribution (weights)" in said
    findings = read_findings(tmp_path / "run" / "findings.json")
    (limited,) = (each for each in findings if each.code == "limited-access")
    assert "strip (probabilities and queries)" in limited.detail


def test_labels_alone_refuse_what_asks_how_sure_the_model_is(run, asked, one_sentence):
    answer = run(*asked(form="labels"))
    assert answer.code == 2
    one_sentence(answer.error, "consensus needs logits, ")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("command:", "names no model"),
        ("command:no-such-program", "cannot be started"),
        ("http://example.org/answer", "no address of this machine"),
        ("https://127.0.0.1/answer", "no address of this machine"),
    ],
)
def test_models_that_cannot_be_asked(run, files, one_sentence, tmp_path, model, why):
    answer = run(*files.plain(model=model, weights=None), "--out", tmp_path / "run")
    assert answer.code == 2
    one_sentence(answer.error, why)


def test_weights_beside_a_model_that_is_only_asked_are_refused(run, files, one_sentence):
    answer = run(*files.plain(model="http://127.0.0.1:1/"))
    assert answer.code == 2
    one_sentence(answer.error, "a model that is only asked brings its weights")
