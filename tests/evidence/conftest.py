"""The folder of a finished scan, written from records."""

import pytest

from anomech.records import (
    Chance,
    FileRow,
    Finding,
    ModelScan,
    Provenance,
    write_findings,
    write_record,
    write_rows,
)

SOURCE = Provenance(
    anomech="0.1.0", python="3.12.0", torch="2.10.0", numpy="2.0.0", device="cpu", threads=1,
    seed=0, model="abc", parameters=0, watched=0, reference="def", inputs="ghi", options="jkl",
)  # fmt: skip
ROWS = (
    FileRow(path="a/w.pkl", kind="pickle", size=10, sha256="1" * 64),
    FileRow(path="notes & <b>.txt", kind="text", size=3, sha256="2" * 64),
)


def finding(code="unsafe-pickle", severity="high", where="a/w.pkl", **given):
    words = {"title": f"{where}: it asks", "detail": "It names posix.system.", "action": "Don't."}
    return Finding(code=code, severity=severity, where=where, **{**words, **given})


@pytest.fixture
def scanned(tmp_path):
    """Writes the folder of a scan with these findings."""

    def make(*findings, name="scan", source=SOURCE, **given):
        folder = tmp_path / name
        write_rows(folder / "files.jsonl", ROWS)
        write_findings(folder / "findings.json", findings)
        top = {"status": "complete", "verdict": "finding", "asked": ("files",),
               "chance": Chance(value=0.01, of="it is so")}  # fmt: skip
        scan = ModelScan(
            **{**top, "title": "my model", "level": 0.05, "started": "2026-11-26T04:00:00+00:00",
               "seconds": 1.5, "provenance": source, **given}
        )  # fmt: skip
        write_record(folder / "scan.json", scan)
        return folder

    return make


@pytest.fixture
def found():
    """Makes a finding."""
    return finding


@pytest.fixture
def source():
    return SOURCE


@pytest.fixture
def rows():
    return ROWS
