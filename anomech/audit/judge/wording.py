"""One plain sentence for a verdict."""

from anomech.records import Decision

USUAL = "its score is beyond those of trusted examples"
"""Said of a flag whose detector declares no causes."""


def reason(
    decision: Decision,
    *,
    p_value: float,
    budget: float,
    because: str = "",
    problems: tuple[str, ...] = (),
    finite: bool = True,
    covered: bool = True,
    settled: bool = False,
) -> str:
    """Why this decision, for someone who is no researcher.

    Args:
        decision: made.
        p_value: of the input.
        budget: of the run.
        because: what the detector says of the cause of a flag; empty for nothing.
        problems: of the detector.
        finite: whether there is a score.
        covered: whether enough trusted examples share the answer.
        settled: whether it was too usual at an early stage to be looked at further.
    """
    if not covered:
        return "No verdict: too few trusted examples have this answer."
    if not finite:
        return "No verdict: the score is not a finite number."
    if decision == "inconclusive":
        return f"No verdict: {problems[0] if problems else 'too little evidence.'}"
    if decision == "clear":
        found = (
            f"{p_value:.1%} of normal inputs look at least this unusual; the budget is {budget:g}."
        )
        return f"{found} That settled it at an early stage." if settled else found
    return (
        f"Flagged because {because or USUAL}; at most {p_value:.2%} of normal inputs look this "
        "unusual."
    )
