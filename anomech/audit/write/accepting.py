"""A baseline over a finished audit: accepted findings are marked, and the folder stays whole."""

from datetime import date
from pathlib import Path

from anomech.evidence.baseline import Baseline, apply, forgotten
from anomech.records import (
    Run,
    digests,
    read_findings,
    read_record,
    write_findings,
    write_record,
)
from anomech.report.run.render import render


def accept(out: Path, baseline: Baseline | None, today: date) -> Run:
    """Mark the findings of a finished audit that a baseline accepts; None forgets acceptances.

    Args:
        out: the run folder.
        baseline: read from a file.
        today: for acceptances that expire.

    Returns:
        The top record, with the digests of its files as they are now.

    Raises:
        RunError: it is no finished audit, or the folder cannot be written.
    """
    run = read_record(out / "run.json", Run)
    if run.provenance is None:
        return run
    before = read_findings(out / "findings.json")
    if baseline is None:
        after = forgotten(before)
    else:
        after = apply(baseline, before, run.provenance, (), today)
    if after == before:
        return run
    write_findings(out / "findings.json", after)
    run = run.model_copy(update={"files": digests(out)})
    write_record(out / "run.json", run)
    render(out)
    return run
