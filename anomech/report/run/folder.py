"""A run folder as one small value; what is not there is said in a sentence instead of failing."""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from anomech import records
from anomech.kernel.errors import RunError

Row = TypeVar("Row", bound=records.Record)

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")

_WITHOUT = {
    "examples": "what was left out, and every preview, cannot be shown.",
    "scores": "no input has a score yet, so there is nothing to draw.",
    "verdicts": "no input has a verdict yet. That is not the same as nothing being flagged.",
    "findings": "what was found about the model and the run is not known.",
}


MOST_FLAGGED = 60
"""Flagged inputs that are kept whole; of the others only numbers are."""
MOST_LEFT_OUT = 6
"""Examples that are kept of those left out for one reason."""


@dataclass(frozen=True)
class Marks:
    """Scores and p-values of the lead detector, in the order of the file."""

    scores: "array[float]"
    p_values: "array[float]"


@dataclass(frozen=True)
class Group:
    """Examples left out for one reason: how many, and the first of them."""

    count: int
    rows: tuple[records.ExampleRow, ...]


@dataclass(frozen=True, kw_only=True)
class Folder:
    """Everything the report is made from; its size does not depend on the number of inputs.

    Attributes:
        path: the run folder.
        run: its top record.
        listed: inputs among the examples.
        decisions: how often each decision was made.
        flagged: the most anomalous flagged inputs, the most anomalous first; ties in the order of
            their ids.
        causes: how many flags each cause has, by its name.
        measured: flagged inputs whose explained fractions are known.
        explained: their mean by part of the network.
        trusted: trusted examples that are nearest to those flagged, by id.
        inputs: flagged and central inputs, by id.
        left_out: trusted examples that were left out, by reason.
        doubtful: those that stayed, and that a person should look at.
        unjudged: inputs that were not judged.
        lead: name of the detector that gave the verdicts, "" if none is known.
        marks: its judgment by role, "calibration" or "input".
        findings: the most severe first.
        missing: a sentence for each file that is not there, by its kind: "examples", "scores",
            "verdicts" or "findings".
    """

    path: Path
    run: records.Run
    listed: int
    decisions: Mapping[str, int]
    flagged: tuple[records.Verdict, ...]
    causes: Mapping[str, int]
    measured: int
    explained: Mapping[str, float]
    trusted: Mapping[str, records.ExampleRow]
    inputs: Mapping[str, records.ExampleRow]
    left_out: Mapping[str, Group]
    doubtful: Mapping[str, Group]
    unjudged: Mapping[str, Group]
    lead: str
    marks: Mapping[str, Marks]
    findings: tuple[records.Finding, ...]
    missing: Mapping[str, str]

    @property
    def verdicts(self) -> int:
        """Number of verdicts."""
        return sum(self.decisions.values())


def read(path: Path) -> Folder:
    """Read a run folder, row by row.

    Raises:
        RunError: it is no run folder, is of another version, or one of its files is damaged.
    """
    run = records.read_top(path, "run.json", records.Run, "audit")
    missing: dict[str, str] = {}
    lead = _lead(path, run)
    file = f"scores/{lead}.jsonl" if lead else "scores"
    verdicts = _rows(path, "verdicts.jsonl", records.Verdict, "verdicts", missing)
    told = _judged(verdicts)
    flagged = told.flagged
    wanted = {verdict.id for verdict in flagged}
    wanted |= {name for one in run.mechanisms for name in one.examples}
    near = {anchor.anchor for verdict in flagged for anchor in verdict.evidence}
    examples = _rows(path, "examples.jsonl", records.ExampleRow, "examples", missing)
    listed, inputs, trusted, noted = _chosen(examples, wanted, near)
    return Folder(
        path=path,
        run=run,
        listed=listed,
        decisions=told.decisions,
        flagged=flagged,
        causes=told.causes,
        measured=told.measured,
        explained=told.explained,
        trusted=trusted,
        inputs=inputs,
        left_out=noted["left out"],
        doubtful=noted["doubtful"],
        unjudged=noted["unjudged"],
        lead=lead,
        marks=_marks(_rows(path, file, records.ScoreRow, "scores", missing)),
        findings=(*_changes(path, run), *_findings(path, missing)),
        missing=missing,
    )


class _Judged(NamedTuple):
    """What is kept of all verdicts; see `Folder`."""

    decisions: Mapping[str, int]
    flagged: tuple[records.Verdict, ...]
    causes: Mapping[str, int]
    measured: int
    explained: Mapping[str, float]


def _judged(verdicts: Iterable[records.Verdict]) -> _Judged:
    """Decisions and causes counted, the most anomalous flags, and mean explained fractions."""
    decisions: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    totals: dict[str, float] = {}
    often: Counter[str] = Counter()
    flagged: list[records.Verdict] = []
    measured = 0
    for verdict in verdicts:
        decisions[verdict.decision] += 1
        if verdict.decision != "flag":
            continue
        flagged.append(verdict)
        if len(flagged) >= 2 * MOST_FLAGGED:
            flagged = sorted(flagged, key=_most_anomalous_first)[:MOST_FLAGGED]
        if verdict.cause is not None:
            causes[verdict.cause] += 1
        measured += bool(verdict.explained)
        for part, value in verdict.explained.items():
            totals[part] = totals.get(part, 0.0) + value
            often[part] += 1
    shown = tuple(sorted(flagged, key=_most_anomalous_first)[:MOST_FLAGGED])
    explained = {part: total / often[part] for part, total in totals.items()}
    return _Judged(decisions, shown, causes, measured, explained)


def _chosen(
    examples: Iterable[records.ExampleRow], wanted: AbstractSet[str], near: AbstractSet[str]
) -> tuple[
    int, dict[str, records.ExampleRow], dict[str, records.ExampleRow], dict[str, dict[str, Group]]
]:
    """Inputs counted, the wanted inputs and trusted examples, and those with a reason, by it."""
    listed = 0
    inputs: dict[str, records.ExampleRow] = {}
    trusted: dict[str, records.ExampleRow] = {}
    noted: dict[str, dict[str, Group]] = {"left out": {}, "doubtful": {}, "unjudged": {}}
    for row in examples:
        is_input = row.role == "input"
        listed += is_input
        if row.id in (wanted if is_input else near):
            (inputs if is_input else trusted)[row.id] = row
        if not row.used or (row.reason and not is_input):
            kind = "unjudged" if is_input else "doubtful" if row.used else "left out"
            groups, reason = noted[kind], row.reason or "no reason was recorded"
            known = groups.get(reason, Group(0, ()))
            rows = known.rows if len(known.rows) == MOST_LEFT_OUT else (*known.rows, row)
            groups[reason] = Group(known.count + 1, rows)
    return listed, inputs, trusted, noted


def _marks(rows: Iterable[records.ScoreRow]) -> Mapping[str, Marks]:
    found: dict[str, Marks] = {}
    for row in rows:
        marks = found.setdefault(row.role, Marks(array("d"), array("d")))
        marks.scores.append(row.score)
        marks.p_values.append(row.p_value)
    return found


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
) -> Iterable[Row]:
    if not (path / name).is_file():
        missing[kind] = f"{name} is not in the run folder: {_WITHOUT[kind]}"
        return ()
    return records.iterate_rows(path / name, cls)


def _changes(path: Path, run: records.Run) -> tuple[records.Finding, ...]:
    """A finding if files are not as the run left them."""
    different = records.changed(path, run)
    if not different:
        return ()
    more = f" and {len(different) - 3} more" if len(different) > 3 else ""
    return (
        records.Finding(
            code="run-changed",
            severity="high",
            title="Files of this run were changed since the run",
            detail=f"Not as the run left them: {', '.join(different[:3])}{more}.",
            action="Do not rely on this page; run the audit again, into another folder.",
        ),
    )


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
