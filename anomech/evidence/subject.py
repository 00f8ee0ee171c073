"""What evidence is about: a finished audit, scan or repair as plain values, whichever it was."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anomech.kernel.errors import RunError
from anomech.records import (
    FileRow,
    Finding,
    ModelScan,
    Provenance,
    RepairRun,
    Run,
    Verdict,
    iterate_rows,
    read_findings,
    read_record,
    read_rows,
)

MOST_FILES = 20_000


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A finished run.

    Attributes:
        kind: of run.
        title: of the model.
        verdict: "finding", "no finding" or "inconclusive".
        task: what the model is to a person; empty if it was not opened.
        started: UTC, ISO 8601.
        seconds: that it took.
        provenance: where the numbers come from.
        findings: all of them, accepted ones too.
        files: of the model, if they were looked through.
        place: the path that findings about the model itself are reported at.
        facts: what was asked and found, in words by name, in order.
        numbers: measured values by name.
    """

    kind: Literal["audit", "scan", "repair"]
    title: str
    verdict: str
    task: str
    started: str
    seconds: float
    provenance: Provenance
    findings: tuple[Finding, ...]
    files: tuple[FileRow, ...]
    place: str
    facts: dict[str, str]
    numbers: dict[str, float]


def read(folder: Path) -> Subject:
    """Read the folder of a finished audit, scan or repair.

    Raises:
        RunError: it is none of these, or it did not finish.
    """
    if (folder / "scan.json").is_file():
        return _scan(folder, read_record(folder / "scan.json", ModelScan))
    if (folder / "repair.json").is_file():
        return _repair(folder, read_record(folder / "repair.json", RepairRun))
    return _audit(folder, read_record(folder / "run.json", Run))


def _scan(folder: Path, scan: ModelScan) -> Subject:
    if scan.provenance is None or scan.verdict is None:
        raise _unfinished(folder, scan.status)
    rows = read_rows(folder / "files.jsonl", FileRow)[:MOST_FILES]
    facts = {
        "asked": ", ".join(scan.asked) or "nothing",
        "verdict": scan.verdict,
        "files looked through": str(scan.looked_through),
        "scanners": ", ".join(each.name for each in scan.scanners) or "none",
        "trusted examples": str(scan.examples),
    }
    numbers = {"accepted chance of a false finding": scan.level}
    if scan.chance is not None:
        facts["p-value"] = f"{scan.chance.value:.3g}, the chance that {scan.chance.of}"
        facts["weakness"] = scan.chance.weakness or "none that is known"
        numbers["p-value of the model"] = scan.chance.value
    if scan.suspected:
        facts["suspected answers"] = ", ".join(scan.suspected)
    return Subject(
        kind="scan",
        title=scan.title,
        verdict=scan.verdict,
        task=scan.task,
        started=scan.started,
        seconds=scan.seconds,
        provenance=scan.provenance,
        findings=tuple(read_findings(folder / "findings.json")),
        files=tuple(rows),
        place=scan.title.partition(":")[0] or "model",
        facts=facts,
        numbers=numbers,
    )


def _repair(folder: Path, run: RepairRun) -> Subject:
    if run.provenance is None or run.status != "complete":
        raise _unfinished(folder, run.status)
    outcomes = Counter(each.outcome for each in run.checks)
    lacking = "finding" if outcomes["failed"] else "inconclusive"
    return Subject(
        kind="repair",
        title=run.title,
        verdict="no finding" if run.verified else lacking,
        task=run.task,
        started=run.started,
        seconds=run.seconds,
        provenance=run.provenance,
        findings=tuple(read_findings(folder / "findings.json")),
        files=(),
        place=run.title.partition(":")[0] or "model",
        facts={
            "verified": "yes" if run.verified else "no",
            "method": run.chosen,
            "accuracy lost": run.grade,
            **{each.title.rstrip("?").lower(): each.outcome for each in run.checks},
        },
        numbers={
            f"{each.name}: {name}": value
            for each in run.checks
            for name, value in each.numbers.items()
        },
    )


def _audit(folder: Path, run: Run) -> Subject:
    if run.provenance is None or run.status not in ("complete", "inconclusive"):
        raise _unfinished(folder, run.status)
    findings = tuple(read_findings(folder / "findings.json"))
    verdicts = iterate_rows(folder / "verdicts.jsonl", Verdict)
    decisions = Counter(row.decision for row in verdicts)
    found = "finding" if any(each.fails for each in findings) else "no finding"
    facts = {
        "verdict": "inconclusive" if run.status == "inconclusive" else found,
        "inputs judged": str(sum(decisions.values())),
        "flagged": str(decisions["flag"]),
        "false-positive budget": f"{run.budget:g}",
        "mechanisms": str(len(run.mechanisms)),
        "trusted examples": str(run.trusted.total if run.trusted else 0),
    }
    return Subject(
        kind="audit",
        title=run.title,
        verdict=facts["verdict"],
        task=run.task,
        started=run.started,
        seconds=run.seconds,
        provenance=run.provenance,
        findings=findings,
        files=(),
        place=run.title.partition(":")[0] or "model",
        facts=facts,
        numbers={
            "false-positive budget": run.budget,
            "flagged inputs": float(decisions["flag"]),
            "inputs": float(sum(decisions.values())),
        },
    )


def _unfinished(folder: Path, status: str) -> RunError:
    return RunError(
        f"{folder.name or folder} holds a run that is {status}, and there is evidence of finished "
        "ones only; run its command again."
    )
