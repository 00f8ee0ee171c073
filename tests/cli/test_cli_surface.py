"""What loads fast, what help says, and that pipes and terminals get clean text."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from anomech.cli import console

LIGHT = """\
import sys
from anomech.cli.app import app
try:
    app({words!r}, prog_name="anomech")
except SystemExit as ended:
    assert not ended.code, ended.code
assert "torch" not in sys.modules, "torch was imported"
"""


def test_package_alone_loads_no_torch():
    code = "import sys, anomech; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in ("demo", "audit", "bench", "report", "describe", "plan")),
        *([name, "--help"] for name in ("scan", "baseline")),
        *(["plan", name, "--help"] for name in ("new", "check")),
    ],
    ids=" ".join,
)
def test_help_loads_no_torch(words):
    code = LIGHT.format(words=words)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_report_loads_no_torch(finished):
    code = LIGHT.format(words=["report", str(finished)])
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_version(run):
    from importlib.metadata import version

    assert run("--version").out == f"anomech {version('anomech')}\n"


def test_unknown_command_and_option(run):
    for words in (["audti"], ["audit", "--bugdet", "0.1"]):
        answer = run(*words)
        assert answer.code == 2
        assert "Traceback" not in answer.err


def test_debug_shows_where(run, tmp_path):
    answer = run("--debug", "report", tmp_path / "nothing")
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("words", [["--help"], ["audit", "--help"], ["--version"], ["report"]])
def test_reader_of_a_pipe_may_leave(finished, words):
    words = [*words, str(finished)] if words == ["report"] else words
    command = [sys.executable, "-m", "anomech", *words]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started.stdout.close()
    said = started.stderr.read()
    started.stderr.close()
    assert started.wait() == 141
    assert said == ""


def test_full_disk_behind_stdout_is_a_sentence(finished):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "anomech", "report", str(finished)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr


def test_strangers_words_cannot_steer_the_terminal(run, files, tmp_path):
    reference = tmp_path / "trusted"
    for folder in sorted(files.reference.iterdir()):
        shutil.copytree(folder, reference / f"[red]{folder.name}\x1b[31m\n!")
    out = tmp_path / "run\x1b[2J[bold]"
    answer = run(*files.options(reference=reference), "--out", out)
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out + answer.err
    assert "'[red]digit-0 !'" in answer.out
    assert "[bold]" in answer.out  # a name is a name, not markup


def test_each_stage_is_said_once_without_a_terminal(capsys):
    with console.progress() as shown:
        for stage, done in (("reading", 1), ("reading", 2), ("tracing", 1), ("reading", 1)):
            shown(stage, done, 2)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "reading ...\ntracing ...\n")


def test_bars_start_anew_when_a_stage_comes_again():
    screen = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Bars(console=screen, auto_refresh=False) as bars:
        shown = console._bars(bars)
        for stage, done, total in (("tracing", 5, 5), ("judging", 1, 9), ("tracing", 0, 7)):
            shown(stage, done, total)
        seen = [(task.description, task.completed, task.total) for task in bars.tasks]
    assert seen == [("tracing", 0, 7), ("judging", 1, 9)]


def test_output_of_a_pipe_is_not_wrapped(process, finished, tmp_path):
    deep = tmp_path / ("long " * 20).strip()
    deep.symlink_to(finished, target_is_directory=True)
    answer = process("report", deep, folder=tmp_path, COLUMNS="40")
    assert answer.out == f"{deep / 'report.html'}\n"
    assert answer.err == ""
