"""Imports run one way, and the package alone loads no torch."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import anomech

ROOT = Path(anomech.__file__).parent
METHODS = (
    *("detectors", "screens", "scanners", "explainers"),
    *("attacks", "mitigations", "purifiers", "trainers"),
)
MATHEMATICS = {"attribution", "calibration"}
OPENERS = {"artefacts", "architectures", "data", "datasets", "tasks"}
RUNNING = OPENERS | {"observing"}
FOUNDATION = {"kernel": set(), "roles": {"kernel"}, "storage": {"kernel"}}
BELOW = {
    **FOUNDATION,
    "records": set(),
    "engines": set(),
    "architectures": set(),
    "artefacts": {"architectures"},
    "data": {"artefacts"},
    "sources": {"artefacts", "architectures"},
    "datasets": {"data"},
    "tasks": {"artefacts", "architectures", "data"},
    "observing": OPENERS,
    "learning": RUNNING,
    "attribution": set(),
    "tracing": RUNNING | {"learning", "attribution"},
    "calibration": set(),
    **{name: RUNNING | {"learning", "tracing"} | MATHEMATICS for name in METHODS},
    "report": {"records"},
    "evidence": {"records", "report"},
}
BELOW["audit"] = (
    RUNNING
    | {"learning", "tracing", "records", "report", "evidence", "engines"}
    | MATHEMATICS
    | set(METHODS)
)
BELOW["scan"] = BELOW["audit"] | {"audit"}
BESIDE = ("screening", "explaining", "attributing", "bias", "repair")
for each in BESIDE:
    BELOW[each] = BELOW["audit"] | {"audit"}
BELOW["review"] = BELOW["scan"] | {"scan", "repair"}
BELOW["bench"] = BELOW["review"] | {"review", *BESIDE}
BELOW["monitor"] = BELOW["federated"] = BELOW["bench"]
BELOW["cli"] = BELOW["bench"] | {"bench", "monitor", "federated"}
FILES = sorted(ROOT.rglob("*.py"))


def part_of(path):
    """The room a file is in."""
    return path.relative_to(ROOT).parts[0]


def imported(path):
    """Parts of this project that a file imports anywhere, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            pieces = name.split(".")
            if pieces[0] == "anomech" and len(pieces) > 1:
                found.add(pieces[1])
    return found


def test_every_folder_has_its_place():
    folders = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert folders <= set(BELOW), "say in BELOW what the new folder may import"
    assert {path.stem for path in ROOT.glob("*.py")} == {"__init__", "__main__"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_one_way(path):
    part = part_of(path)
    if path == ROOT / "__init__.py":
        return  # the front door names what it opens, and fetches it late
    if path == ROOT / "__main__.py":
        part = "cli"
    allowed = {part} | BELOW.get(part, set()) | (set() if part in FOUNDATION else set(FOUNDATION))
    assert imported(path) <= allowed


def test_methods_of_one_kind_do_not_import_each_other():
    for kind in (*METHODS, "engines"):
        for path in (ROOT / kind).glob("[!_]*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and node.module.startswith(f"anomech.{kind}."):
                    assert node.module.rpartition(".")[2].startswith("_"), path


@pytest.mark.parametrize(
    "module", ["anomech", "anomech.kernel.errors", "anomech.kernel.config", "anomech.records"]
)
def test_light_modules_load_no_torch(module):
    code = f"import {module}, sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_report_loads_no_torch():
    code = "import anomech.report.run.render, sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_the_front_door_gives_what_it_names():
    for name in anomech.__all__:
        assert getattr(anomech, name).__name__ == name
        assert name in dir(anomech)
    with pytest.raises(AttributeError, match="'Nothing'"):
        _ = anomech.Nothing


def test_a_name_of_the_version_before_leads_to_its_new_one():
    with pytest.warns(DeprecationWarning, match="named anomech.Auditor now"):
        assert anomech.Detector is anomech.Auditor


ROOMS_OF_THE_AUDIT = ("load", "probing", "judge", "sensitivity", "write")


def test_the_audit_loads_then_asks_then_judges_then_writes():
    for path in (ROOT / "audit").glob("*/*.py"):
        later = ROOMS_OF_THE_AUDIT[ROOMS_OF_THE_AUDIT.index(path.parent.name) + 1 :]
        text = path.read_text()
        for room in (*later, "pipeline", "auditor"):
            assert f"anomech.audit.{room}" not in text, path
