"""The command `anomech bench`: what it says and how it ends."""

import pytest
import yaml

from anomech.bench import runner
from anomech.records import read_record
from anomech.records.scorecards import BenchRun

SUITE = {
    "title": "Mine",
    "data": "digits",
    "network": "digits",
    "recipe": {"epochs": 8, "batch": 64, "peak": 0.1, "augment": "none"},
    "trusted": 300,
    "clean": 150,
    "sources": 80,
    "detectors": {"knn": {}},
    "subjects": {"BadNets": {"attacks": {"badnets": {"ratio": 0.15, "size": 2}}}},
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def mine(tmp_path):
    """A suite file of one cell."""
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(SUITE))
    return path


def test_a_bench_from_the_command_line(run, mine, zoo, tmp_path):
    out = tmp_path / "bench"
    answer = run("bench", mine, "--out", out, "--zoo", zoo)
    assert answer.code == 0, answer.err
    assert "digits-digits-BadNets-seed0/knn: AUROC 0." in answer.err
    assert "1 of 1 cells answered, 0 failed." in answer.out
    row = next(line for line in answer.out.splitlines() if line.startswith("knn"))
    assert len(row.split()) == 8
    assert answer.out.splitlines()[-1] == f"Leaderboard: {out / 'leaderboard.html'}"
    assert (out / "leaderboard.html").exists()
    again = run("bench", mine, "--out", out, "--zoo", zoo)
    assert "knn: AUROC" not in again.err  # no cell is run again
    assert again.out.splitlines()[-1] == answer.out.splitlines()[-1]


def test_without_a_place_it_is_made_below_runs(run, mine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = run("bench", mine, "--set", "least=1")
    assert "suite has no option 'least'" in answer.error
    seen = []

    def stop(suite, out, **named):
        seen.append((str(out), str(named["zoo"]), named["engine"], named["patterns"]))
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_suite", stop)
    answer = run("bench", mine, "--cells", "*/knn", "--cells", "*clean*")
    assert seen == [("runs/bench-mine", "runs/zoo", None, ["*/knn", "*clean*"])]
    assert answer.code == 130
    assert answer.err.splitlines()[-1].startswith("interrupted: run the same command again")


def test_a_failed_cell_is_an_exit_code(run, mine, zoo, tmp_path):
    setting = "subjects.BadNets.attacks.badnets.ratio=0"
    answer = run("bench", mine, "--set", setting, "--out", tmp_path / "bench", "--zoo", zoo)
    assert answer.code == 3
    assert "knn: failed, the badnets attack succeeds on" in answer.err
    assert "0 of 1 cells answered, 1 failed." in answer.out
    top = read_record(tmp_path / "bench" / "bench.json", BenchRun)
    assert (top.status, top.failed) == ("complete", 1)


def test_the_shipped_suites_are_listed(run):
    answer = run("bench", "--list")
    assert answer.code == 0
    for name in ("smoke", "vision-small", "trusted-size"):
        assert any(line.startswith(f"{name} ") for line in answer.out.splitlines())


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "name a suite"),
        (["smoek"], "did you mean 'smoke'?"),
        (["smoke", "--set", "seeds"], "--set takes NAME=VALUE"),
        (["smoke", "--set", "detectors.knn.neighbours=3"], "no option 'neighbours'"),
        (["smoke", "--cells", "nothing"], "no cell matches 'nothing'"),
        (["smoke", "--engine", "rya"], "no engine is named 'rya'"),
        (["smoke", "--set", "trusted=9000"], "lower one of them"),
    ],
)
def test_bad_input_is_one_sentence(run, one_sentence, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    answer = run("bench", *words)
    assert answer.code == 2
    one_sentence(answer.error, says)
