"""What flagged inputs that no repair has seen are answered now."""

from anomech.records import Check
from anomech.repair import measures
from anomech.repair.proof.context import Context

TITLE = "Are flagged answers gone from inputs that it was not repaired with?"


def check(context: Context) -> Check:
    """Share of unseen flagged inputs that still get their answer."""
    flagged = context.subject.flagged
    if flagged is None:
        return Check(
            name="answers",
            title=TITLE,
            outcome="not done",
            said="No audit flagged inputs, or too few; give one with --suspects RUN.",
        )
    still = measures.left(context.subject.task, flagged.prove, context.overlay)
    outcome = "passed" if still.value <= context.asked.flagged else "failed"
    return Check(
        name="answers",
        title=TITLE,
        outcome=outcome,
        said=(
            f"{still.value:.1%} of {still.count} flagged inputs still get the answer that they "
            f"were flagged with (95 % interval {still.low:.1%} to {still.high:.1%})."
        ),
        numbers={"left": still.value, "at least": still.low, "at most": still.high},
    )
