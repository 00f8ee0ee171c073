"""Scripts that are interrupted in the middle of work, or are written the wrong way."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import engine_work as work
import pytest

NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; see the extra 'ray'"
)
SCRIPT = """
import sys
import engine_work as work
from anomech.kernel import plugins

if __name__ == "__main__":
    engine = plugins.get("engine", sys.argv[2])()
    list(engine.map(work.hang, sys.argv[1], range(4)))
"""
UNGUARDED = SCRIPT.replace('if __name__ == "__main__":', "if True:").replace(
    "[2])()", "[2])(workers=1, retries=0)"
)


def run(code, folder, engine):
    """The script as a user would start it, in a process group of its own."""
    path = folder / "script.py"
    path.write_text(code)
    (folder / "marks").mkdir()
    return subprocess.Popen(
        [sys.executable, str(path), str(folder / "marks"), engine],
        env={**os.environ, "PYTHONPATH": str(Path(work.__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("engine", ["processes", pytest.param("ray", marks=NEEDS_RAY)])
def test_ctrl_c_ends_the_workers_at_once(engine, tmp_path):
    process = run(SCRIPT, tmp_path, engine)
    try:
        marks = tmp_path / "marks"
        while not list(marks.iterdir()):
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        _, told = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert told.count("Traceback") == 1
    assert told.strip().endswith("KeyboardInterrupt")
    assert "leaked" not in told
    for mark in marks.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.name), 0)


def test_a_script_without_a_guard_is_told_what_is_missing(tmp_path):
    process = run(UNGUARDED, tmp_path, "processes")
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert 'must make its calls under `if __name__ == "__main__":`' in told
