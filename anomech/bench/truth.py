"""The truth of a finished run, told to its records after everything is scored."""

from collections.abc import Sequence
from pathlib import Path

from anomech.bench.grading import TRUTH, grade
from anomech.bench.metrics import auroc
from anomech.records import Run, Truth, write_record, write_rows
from anomech.records.scorecards import TruthRow
from anomech.report.run.render import render


def with_truth(run: Run, out: Path, rows: Sequence[TruthRow], note: str) -> Run:
    """The run with what is known of its inputs; its folder and report then say it too.

    Args:
        run: finished, its flags decided per input.
        out: its folder.
        rows: of all inputs.
        note: what counts as an anomaly, in a sentence.
    """
    write_rows(out / TRUTH, rows)
    graded = {each.name: grade(out, each.name) for each in run.detectors}
    lead = next(graded[each.name] for each in run.detectors if each.lead)
    flags = lead.flags(run.budget)
    known = Truth(
        triggered=int(lead.anomalous.sum()),
        true_positives=int((flags & lead.anomalous).sum()),
        false_positives=int((flags & lead.normal).sum()),
        auroc={
            name: auroc(each.score[each.normal], each.score[each.anomalous])
            for name, each in graded.items()
            if each.has_anomalies
        },
        note=note,
    )
    run = run.model_copy(update={"truth": known})
    write_record(out / "run.json", run)
    render(out)
    return run
