"""Whether the model is less sure of inputs than of trusted examples, over all of them together.

Trusted examples that the model was trained on are answered more surely than anything new. Then
honest inputs that are merely hard look implausible, and many of them are flagged; so they do where
inputs are harder or of another kind. If both come alike, an input is less sure than the k-th least
sure of n trusted examples with a probability that is `Beta(k, n + 1 - k)`, so the number of such
inputs is beta-binomial, whatever the model (`anomech.calibration.excess`).
"""

from anomech.calibration.conformal import rank
from anomech.calibration.excess import LEVEL, Traffic, chance_of_excess
from anomech.records import Finding

UNSURE = 0.1
"""Share of the trusted examples that count as unsure."""

MUCH = 1.5
"""So many times as many inputs must be unsure: of very many the least difference is certain."""


def level(log_odds: list[float]) -> float:
    """Log-odds of trusted examples below which an answer is unsure; of few, minus infinity."""
    place = rank(len(log_odds), UNSURE)
    return sorted(log_odds)[place - 1] if place else -float("inf")


def probe(unsure: int, inputs: int, trusted: int) -> list[Finding]:
    """A finding if more inputs are unsure than chance gives; never of high severity.

    Args:
        unsure: inputs with log-odds below the level.
        inputs: all.
        trusted: examples that the level was taken of.
    """
    if not inputs or unsure < MUCH * UNSURE * inputs:
        return []
    if chance_of_excess(unsure, [Traffic(inputs, trusted)], UNSURE) > LEVEL:
        return []
    return [
        Finding(
            code="inputs-less-sure",
            severity="medium",
            title=f"The model is less sure of the inputs than of the trusted examples: "
            f"{unsure / inputs:.0%} of them are below the least sure {UNSURE:.0%}",
            detail=f"{unsure} of {inputs} inputs are answered with less confidence than all but "
            f"the least sure {UNSURE:.0%} of {trusted} trusted examples. So it is if the model was "
            "trained on the trusted examples, or if inputs are harder or of another kind. P-values "
            "assume none of that: hard but honest inputs may be among the flags.",
            action="Trust examples that the model was not trained on and that come as the inputs "
            "do; until then look at flags for implausible confidence with doubt.",
        )
    ]
