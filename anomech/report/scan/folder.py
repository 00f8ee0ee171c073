"""The folder of a scan as one small value; what is not there is said in a sentence."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from anomech import records

MOST_FILES = 2000
"""Files that the page lists."""

ORDER = ("high", "medium", "low", "info")


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Everything the page is made from.

    Attributes:
        path: the folder.
        scan: its top record.
        rows: of files, the first ones.
        findings: the most severe first, accepted ones last.
        missing: a sentence for each file that is not there, by its kind.
    """

    path: Path
    scan: records.ModelScan
    rows: tuple[records.FileRow, ...]
    findings: tuple[records.Finding, ...]
    missing: Mapping[str, str]


def read(path: Path) -> Folder:
    """Read the folder of a scan.

    Raises:
        RunError: it is none, is of another version, or one of its files is damaged.
    """
    scan = records.read_top(path, "scan.json", records.ModelScan, "scan")
    missing = {}
    rows: tuple[records.FileRow, ...] = ()
    if (path / "files.jsonl").is_file():
        found = records.iterate_rows(path / "files.jsonl", records.FileRow)
        rows = tuple(islice(found, MOST_FILES))
    else:
        missing["files"] = "files.jsonl is not in the folder, so no file can be listed."
    listed: list[records.Finding] = []
    if (path / "findings.json").is_file():
        listed = records.read_findings(path / "findings.json")
    else:
        missing["findings"] = "findings.json is not in the folder: what was found is not known."
    listed = [*_changes(path, scan), *listed]
    listed.sort(key=lambda each: (bool(each.accepted), ORDER.index(each.severity)))
    return Folder(path=path, scan=scan, rows=rows, findings=tuple(listed), missing=missing)


def _changes(path: Path, scan: records.ModelScan) -> list[records.Finding]:
    """A finding if files are not as the scan left them."""
    different = records.changed(path, scan)
    if not different:
        return []
    return [
        records.Finding(
            code="run-changed",
            severity="high",
            title="Files of this scan were changed since the scan",
            detail=f"Not as the scan left them: {', '.join(different[:3])}.",
            action="Do not rely on this page; run the scan again.",
        )
    ]
