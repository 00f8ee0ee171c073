"""Wrong paths, empty folders and files of other types: one sentence and exit code 2, everywhere."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def junk(tmp_path_factory):
    """A folder of things that are not what a command asks for."""
    folder = tmp_path_factory.mktemp("junk")
    (folder / "empty").mkdir()
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text("[1]")
    (folder / "run").mkdir()
    (folder / "run" / "run.json").write_text("{")
    (folder / "text.txt").write_text("hello")
    (folder / "text.npz").write_text("hello")
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "bytes.yaml").write_bytes(b"a: \xff\xfe")
    (folder / "raises.py").write_text("def make_model():\n    raise ValueError('no')\n")
    (folder / "exits.py").write_text("import sys\nsys.exit(0)\n")
    (folder / "speaks.py").write_text(
        "from torch import nn\n\n\nclass Speaks(nn.Module):\n    def __init__(self):\n"
        "        super().__init__()\n        self.head = nn.Linear(1, 1)\n\n"
        "    def forward(self, images):\n        return 'hello'\n\n\n"
        "class Fixed(nn.Module):\n    def forward(self, images):\n"
        "        return images.flatten(1)[:, :10]\n\n\n"
        "def speaks():\n    return Speaks()\n\n\ndef fixed():\n    return Fixed()\n"
    )
    np.savez(folder / "unlabeled.npz", images=np.zeros((3, 8, 8), np.uint8))
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "scan --weights nowhere",
        "scan --weights empty --out made",
        "scan --backdoorbench nowhere",
        "screen --data nowhere",
        "screen --data empty",
        "screen --data text.npz",
        "screen --data unlabeled.npz",
        "check --model raises.py:make_model --reference unlabeled.npz --inputs unlabeled.npz",
        "audit --model exits.py:make_model --reference unlabeled.npz --inputs unlabeled.npz",
        "audit --model empty --reference unlabeled.npz --inputs unlabeled.npz",
        "audit --model model --reference unlabeled.npz --inputs unlabeled.npz",
        "audit --plan bytes.yaml",
        "fit --model text.txt --reference text.txt --profile made",
        "fit --model text.txt --reference text.txt --profile empty",
        "fit --model text.txt --reference text.txt --profile text.txt/made",
        "explain nowhere",
        "explain run",
        "attribute --model empty --triggered text.txt --clean text.txt",
        "attribute --model model --triggered nowhere --clean nowhere",
        "bias --model raises.py:make_model --reference empty --groups nowhere",
        "repair nowhere",
        "repair run",
        "review --model raises.py:make_model --reference empty --inputs empty",
        "review --cost attack=x",
        "report text.txt",
        "report empty",
        "report run",
        "baseline run -o made",
        "bench nowhere",
        "bench list.yaml",
        "bench text.txt",
        "bench smoke --out text.txt",
        "federate --clients empty",
        "federate --clients text.txt",
        "federate --clients nowhere",
        "train standard --data nowhere",
        "train standard --data digits --out text.txt",
        "train standard --data digits --model speaks.py:Nothing",
        "train standard --data digits --model speaks.py:Speaks",
        "train standard --data digits --model speaks.py:speaks",
        "train standard --data digits --model speaks.py:fixed",
        "train standard --data digits --model raises.py:make_model",
        "describe nothing",
        "plan new text.txt",
        "plan check list.yaml",
        "plan check empty",
        "plan estimate --model empty",
        "plan estimate --model text.txt",
        "demo --out text.txt",
        "demo --attack nothing",
    ],
)
def test_what_is_not_as_asked_is_one_sentence(run, junk, monkeypatch, one_sentence, words):
    monkeypatch.chdir(junk)
    answer = run(*words.split())
    assert answer.code == 2, answer.err
    one_sentence(answer.error)
    assert not answer.out


@pytest.mark.parametrize(
    "suite",
    [
        "scanners: {output_weights: 3}\nsubjects: {clean: {}}",
        "scanners: {output_weights: {}}\nsubjects: {clean: 4}",
        "methods: {rnp: 3}\nsubjects: {clean: {attacks: 4}}",
        "kind: stealth\nattacks: {badnets: 3}",
        "kind: screening\ncases: {one: 4}\nscreens: {spectre: 4}",
        "kind: score_flips\ntrainers: 4",
        "kind: nothing",
        "kind: [1]",
        "detectors: {knn: 3}\nsubjects: {one: 4}",
        "base: 3",
    ],
)
def test_a_suite_of_other_values_is_one_sentence(run, tmp_path, one_sentence, suite):
    (tmp_path / "suite.yaml").write_text(suite)
    answer = run("bench", tmp_path / "suite.yaml", "--out", tmp_path / "out")
    assert answer.code == 2, answer.err
    one_sentence(answer.error)


def test_a_folder_of_another_kind_of_run_is_left_alone(run, finished, one_sentence):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    for words in (["scan", "--weights", finished.parent], ["repair", finished]):
        answer = run(*words, "--out", finished)
        assert answer.code == 2, answer.err
        one_sentence(answer.error, "is not an empty folder and holds no")
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


def test_files_without_a_model_give_no_verdict(run, tmp_path):
    (tmp_path / "README.md").write_text("A model, but for its weights.")
    answer = run("scan", "--weights", tmp_path / "README.md", "--out", tmp_path / "scan")
    assert answer.code == 3, answer.err
    assert "no model among the files" in answer.err
    assert "No file of README.md is of a kind that holds a model" in answer.out
