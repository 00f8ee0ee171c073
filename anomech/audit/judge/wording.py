"""One plain sentence for a verdict."""

from anomech.detectors.functional_attribution import (
    CONFIDENCE,
    OTHER_CLASS,
    UNEXPLAINED,
    UNFAMILIAR,
)
from anomech.records import Decision

BECAUSE = {
    UNEXPLAINED: "trusted examples with the same answer explain too little of how this answer "
    "comes about",
    OTHER_CLASS: "the answer comes about as trusted examples of another class do",
    UNFAMILIAR: "the input is unlike anything trusted",
    CONFIDENCE: "the model is surer or less sure of its answer than it is of trusted examples",
}


def reason(
    decision: Decision,
    *,
    p_value: float,
    budget: float,
    cause: str | None,
    problems: tuple[str, ...] = (),
    finite: bool = True,
    covered: bool = True,
) -> str:
    """Why this decision, for someone who is no researcher."""
    if not covered:
        return "No verdict: too few trusted examples have this answer."
    if not finite:
        return "No verdict: the score is not a finite number."
    if decision == "inconclusive":
        return f"No verdict: {problems[0] if problems else 'too little evidence.'}"
    if decision == "clear":
        return (
            f"{p_value:.1%} of normal inputs look at least this unusual; the budget is {budget:g}."
        )
    because = BECAUSE.get(cause or "", "its score is beyond those of trusted examples")
    return f"Flagged because {because}; at most {p_value:.2%} of normal inputs look this unusual."
