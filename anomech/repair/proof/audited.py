"""What a second audit, of the repaired model, finds in the same inputs.

Inputs with a trigger may go on looking unlike trusted ones, inside the network too, though nothing
leads from there to an answer any more. That is said beside the flags, and excuses none of them: who
cannot tell what the flags are due to cannot call a repair proved.
"""

from collections import Counter
from collections.abc import Sequence

from anomech.audit.auditor import Auditor
from anomech.calibration.excess import LEVEL
from anomech.kernel.errors import AnomechError
from anomech.records import Check, Verdict
from anomech.repair.proof.context import Context

TITLE = "Does a second audit find anything in the same inputs?"


def check(context: Context) -> Check:
    """All inputs judged again, by the detector of the first audit, fitted anew."""
    subject = context.subject
    if subject.audit is None or subject.inputs is None or not context.asked.audit:
        said = "There was no first audit, or none was asked for again (proof.audit)."
        return Check(name="second audit", title=TITLE, outcome="not done", said=said)
    plan = subject.audit.plan
    auditor = Auditor(
        detector=plan.lead,
        options=plan.detectors[plan.lead],
        budget=plan.budget,
        anchor_share=plan.anchor_share,
        most_anchors=plan.most_anchors,
        seed=plan.seed,
        doubtful=plan.doubtful,
    )
    try:
        fitted = auditor.fit(context.repaired, subject.everything, progress=context.progress)
        rows = fitted.score(subject.inputs, progress=context.progress)
    except AnomechError as error:
        return Check(name="second audit", title=TITLE, outcome="not done", said=str(error))
    flagged = [row for row in rows if row.decision == "flag"]
    flags = {row.id for row in flagged}
    alike = max(Counter(row.group for row in flagged).values(), default=0) / max(1, len(flagged))
    chance = fitted.chance(rows)
    again = len(flags & set(subject.audit.ids)) / max(1, len(subject.audit.ids))
    usual = plan.budget * len(rows)
    good = chance > LEVEL
    led = "" if good else _about(flagged, alike)
    return Check(
        name="second audit",
        title=TITLE,
        outcome="passed" if good else "failed",
        said=(
            f"{len(flags)} of {len(rows)} inputs are flagged now, by chance alone about "
            f"{usual:.3g}; of the {len(subject.audit.ids)} that were to be unlearned, {again:.0%} "
            f"are flagged again.{led}"
        ),
        numbers={
            "flagged": float(len(flags)),
            "chance": chance,
            "flagged again": again,
            "answered alike": alike,
        },
    )


def _about(flagged: Sequence[Verdict], alike: float) -> str:
    """What the flags have in common, for who has to judge them."""
    cause, count = Counter(row.cause for row in flagged).most_common(1)[0]
    return (
        f" {count} of the flags are due to '{cause}', and at most {alike:.0%} of all flags get "
        "the same answer."
    )
