"""A run folder may be a trap or changed: nothing outside it is written or waited for."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from anomech.audit.pipeline import audit
from anomech.audit.plan import from_mapping, read_plan
from anomech.audit.write.place import locked
from anomech.kernel.errors import RunError
from anomech.kernel.types import silent
from anomech.records import Run, changed, read_record


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of a finished run, to be spoiled."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def again(folder):
    """The same audit into the same folder."""
    return audit(from_mapping(read_plan(folder / "plan.yaml")), folder, silent)


def test_a_run_knows_its_files(folder, run):
    files = read_record(folder / "run.json", Run).files
    assert {"plan.yaml", "verdicts.jsonl", "findings.json", "examples.jsonl"} <= files.keys()
    assert any(name.startswith("scores/") for name in files)
    assert any(name.startswith("previews/") for name in files)
    assert run("report", folder).code == 0


@pytest.mark.parametrize("name", ["verdicts.jsonl", "findings.json", "examples.jsonl"])
def test_changed_files_are_named_and_not_relied_on(folder, run, name):
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace('"flag"', '"clear"').replace("high", "info") + "\n")
    answer = run("report", folder)
    assert answer.code == 1
    assert f"{name} changed since the run" in answer.err
    page = (folder / "report.html").read_text()
    assert "Files of this run were changed since the run" in page
    assert name in page
    with pytest.raises(RunError, match=f"{name} changed since the run"):
        again(folder)


def test_a_record_cannot_lead_out_of_its_folder(folder):
    record = read_record(folder / "run.json", Run)
    made_up = record.model_copy(update={"files": {"../../../etc/passwd": "0", "/dev/zero": "0"}})
    assert changed(folder, made_up) == ("../../../etc/passwd", "/dev/zero")


def test_what_a_run_without_digests_left_is_still_shown(folder, run):
    record = json.loads((folder / "run.json").read_text())
    del record["files"]
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "findings.json").write_text("[]")
    assert run("report", folder).code == 0


def test_planted_links_are_replaced_and_not_followed(folder, run, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "report.html").unlink()
    for name in ("report.html", ".report.html.partial", ".plan.yaml.partial"):
        (folder / name).symlink_to(victim)
    assert run("report", folder).code == 0
    assert victim.read_text() == "precious"
    assert not (folder / "report.html").is_symlink()
    with pytest.raises(RunError, match="is a link"):
        again(folder)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", ["work", "scores", "previews"])
def test_folders_that_are_links_are_refused(folder, tmp_path, name):
    shutil.rmtree(folder / name, ignore_errors=True)
    (tmp_path / "elsewhere").mkdir()
    (folder / name).symlink_to(tmp_path / "elsewhere")
    (folder / "run.json").unlink()  # as if the run had not ended
    with pytest.raises(RunError, match=f"{name} is a link"):
        again(folder)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("name", ["run.json", "verdicts.jsonl", "findings.json", "a preview"])
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_pipes_and_devices_are_not_waited_for(folder, run, name, kind):
    path = next((folder / "previews").iterdir()) if name == "a preview" else folder / name
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert run("report", folder).code in (1, 2)


def test_hidden_files_make_a_folder_one_that_is_not_empty(folder, tmp_path):
    plan = from_mapping(read_plan(folder / "plan.yaml"))
    out = tmp_path / "other"
    out.mkdir()
    (out / ".plan.yaml.partial").symlink_to(tmp_path / "victim")
    with pytest.raises(RunError):
        audit(plan, out, silent)
    (out / ".plan.yaml.partial").unlink()
    (out / ".hidden").touch()
    with pytest.raises(RunError, match="not an empty folder"):
        audit(plan, out, silent)


def test_what_a_killed_process_was_writing_is_swept(folder, tmp_path):
    plan = from_mapping(read_plan(folder / "plan.yaml"))
    out = tmp_path / "other"
    out.mkdir()
    (out / ".plan.yaml.0123456789abcdef.partial").write_text("seed:")
    audit(plan, out, silent)
    assert not list(out.rglob(".*"))


def test_a_kill_at_the_very_end_is_mended(folder):
    (folder / "work").mkdir()
    (folder / "work" / "00000.json").write_text("{}")
    (folder / "report.html").unlink()
    again(folder)
    assert not (folder / "work").exists()
    assert (folder / "report.html").exists()


def test_two_processes_do_not_share_a_folder(folder):
    code = (
        "import sys, pathlib\n"
        "from anomech.audit.write.place import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process works in"):
            again(folder)
        other.kill()
    again(folder)  # a lock goes with its process
    with locked(folder):
        pass
