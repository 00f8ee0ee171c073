"""A run folder as one value; what is not there is said in a sentence instead of failing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from anomech import records
from anomech.errors import RunError

Row = TypeVar("Row", bound=records.Record)

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_WITHOUT = {
    "examples": "what was left out, and every preview, cannot be shown.",
    "scores": "no input has a score yet, so there is nothing to draw.",
    "verdicts": "no input has a verdict yet. That is not the same as nothing being flagged.",
    "findings": "what was found about the model and the run is not known.",
}


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Everything the report is made from.

    Attributes:
        path: the run folder.
        run: its top record.
        examples: every example, in the order of the file.
        trusted: anchors and calibration examples by id.
        inputs: inputs by id.
        lead: name of the detector that gave the verdicts, "" if none is known.
        scores: its judgment of inputs and calibration examples.
        verdicts: the verdicts, in the order of the file.
        findings: the most severe first.
        missing: a sentence for each file that is not there, by its kind: "examples", "scores",
            "verdicts" or "findings".
    """

    path: Path
    run: records.Run
    examples: tuple[records.ExampleRow, ...]
    trusted: Mapping[str, records.ExampleRow]
    inputs: Mapping[str, records.ExampleRow]
    lead: str
    scores: tuple[records.ScoreRow, ...]
    verdicts: tuple[records.Verdict, ...]
    findings: tuple[records.Finding, ...]
    missing: Mapping[str, str]

    @property
    def flagged(self) -> tuple[records.Verdict, ...]:
        """Flagged inputs, most anomalous first; ties in the order of their ids."""
        flags = [verdict for verdict in self.verdicts if verdict.decision == "flag"]
        return tuple(sorted(flags, key=_most_anomalous_first))


def read(path: Path) -> Folder:
    """Read a run folder.

    Raises:
        RunError: it is no run folder, is of another version, or one of its files is damaged.
    """
    run = _run(path)
    missing: dict[str, str] = {}
    examples = _rows(path, "examples.jsonl", records.ExampleRow, "examples", missing)
    lead = _lead(path, run)
    file = f"scores/{lead}.jsonl" if lead else "scores"
    return Folder(
        path=path,
        run=run,
        examples=examples,
        trusted={row.id: row for row in examples if row.role != "input"},
        inputs={row.id: row for row in examples if row.role == "input"},
        lead=lead,
        scores=_rows(path, file, records.ScoreRow, "scores", missing),
        verdicts=_rows(path, "verdicts.jsonl", records.Verdict, "verdicts", missing),
        findings=_findings(path, missing),
        missing=missing,
    )


def _run(path: Path) -> records.Run:
    if not path.is_dir():
        raise RunError(
            f"{path.name or path} is not a folder; give the folder that `anomech audit` wrote."
        )
    run = records.read_record(path / "run.json", records.Run)
    if run.schema_version != records.SCHEMA_VERSION:
        raise RunError(
            f"run.json is of format {run.schema_version}, but this version of anomech reads "
            f"format {records.SCHEMA_VERSION}; run the audit again with this version."
        )
    return run


def _lead(path: Path, run: records.Run) -> str:
    names = [detector.name for detector in run.detectors if detector.lead]
    names = names or [detector.name for detector in run.detectors]
    # An interrupted run has no summaries yet, but its finished scores are still worth showing.
    names = names or sorted(file.stem for file in (path / "scores").glob("*.jsonl"))
    if names and not _PLAIN_NAME.fullmatch(names[0]):
        raise RunError(
            "run.json names a detector that cannot be a file name; the run folder was changed "
            "by something else: run the audit again."
        )
    return names[0] if names else ""


def _rows(
    path: Path, name: str, cls: type[Row], kind: str, missing: dict[str, str]
) -> tuple[Row, ...]:
    if not (path / name).is_file():
        missing[kind] = f"{name} is not in the run folder: {_WITHOUT[kind]}"
        return ()
    return tuple(records.read_rows(path / name, cls))


def _findings(path: Path, missing: dict[str, str]) -> tuple[records.Finding, ...]:
    if not (path / "findings.json").is_file():
        missing["findings"] = f"findings.json is not in the run folder: {_WITHOUT['findings']}"
        return ()
    try:
        found = records.read_findings(path / "findings.json")
    except (ValueError, TypeError):
        raise RunError(
            "findings.json is not a list of findings; run the audit again with this version of "
            "anomech."
        ) from None
    order = ("high", "medium", "low", "info")
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


def _most_anomalous_first(verdict: records.Verdict) -> tuple[float, float, str]:
    p_value = 1.0 if verdict.p_value is None else verdict.p_value
    return p_value, -(verdict.score or 0.0), verdict.id
