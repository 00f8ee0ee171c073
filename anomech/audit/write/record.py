"""The top record of a run, from all that was fitted and judged."""

from collections.abc import Sequence

from anomech.audit.load import provenance
from anomech.audit.plan import fitting_options
from anomech.audit.write import results, rows
from anomech.audit.write.results import Kept
from anomech.calibration.excess import tolerated, traffic_of
from anomech.records import DetectorSummary, Mechanism, Run, digests


def record(kept: Kept, found: Sequence[Mechanism], *, started: str, seconds: float) -> Run:
    """What `run.json` says; the other files of the folder are written already.

    Args:
        kept: all that the end of a run works on.
        found: mechanisms among its flags.
        started: when the run was started.
        seconds: that it took.
    """
    plan, loaded, fitted = kept.plan, kept.loaded, kept.fitted
    lead, trusted = fitted.lead, fitted.trusted
    traffic = traffic_of(lead.strata.sizes, kept.tally.strata)
    return Run(
        status="inconclusive" if lead.problems else "complete",
        title=loaded.title,
        task=fitted.task.kind,
        budget=plan.budget,
        control=plan.control,
        tolerated=tolerated(traffic, plan.budget),
        rate=rows.rate(traffic, plan.budget),
        causes=rows.causes(lead),
        started=started,
        seconds=seconds,
        classes=trusted.about.get("classes", ()),
        provenance=provenance.collect(
            loaded, fitted.task, trusted.digests, plan.seed, fitting_options(plan)
        ),
        trusted=rows.summary(trusted, lead),
        detectors=_detectors(kept),
        mechanisms=tuple(found),
        compared=results.compared(kept),
        sensitivity=fitted.sensitivity,
        message=next(iter(lead.problems), ""),
        files=digests(kept.out),
    )


def _detectors(kept: Kept) -> tuple[DetectorSummary, ...]:
    fitted, tally = kept.fitted, kept.tally
    return tuple(
        rows.detector(
            name,
            each,
            lead=name == kept.plan.lead,
            flagged=tally.flagged[name],
            inputs=len(kept.loaded.inputs),
            seconds=(
                fitted.seconds[name],
                tally.seconds.get(name, 0.0),
                fitted.tracing[name] + tally.tracing.get(name, 0.0),
            ),
        )
        for name, each in fitted.detectors.items()
    )
