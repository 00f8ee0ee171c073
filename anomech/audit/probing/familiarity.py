"""Whether more inputs lie outside what trusted examples cover than chance gives.

Verdicts on inputs unlike anything trusted say little, flagged or not: no trusted example tells what
an honest answer to them looks like. Each input's p-value of unfamiliarity holds whatever the model,
so the number of those below a level is beta-binomial (`anomech.calibration.excess`).
"""

from anomech.calibration.excess import LEVEL, Traffic, chance_of_excess
from anomech.detectors._causes import UNFAMILIAR
from anomech.records import Finding, Verdict

OUTSIDE = 0.01
"""p-value of unfamiliarity at which an input lies outside."""

MUCH = 2.0
"""So many times as many inputs must lie outside: of very many the least difference is certain."""


def lies_outside(row: Verdict) -> bool:
    """Whether an input is unlike trusted examples; unknown where an early stage settled it."""
    return row.views.get(UNFAMILIAR.name, 1.0) <= OUTSIDE


def probe(outside: int, flagged: int, inputs: int, calibration: int) -> list[Finding]:
    """A finding if more inputs lie outside than chance gives; never of high severity.

    Args:
        outside: inputs that do.
        flagged: those of them that are flagged.
        inputs: all.
        calibration: examples that p-values rest on.
    """
    if not inputs or outside < MUCH * OUTSIDE * inputs:
        return []
    if chance_of_excess(outside, [Traffic(inputs, calibration)], OUTSIDE) > LEVEL:
        return []
    return [
        Finding(
            code="outside-trusted",
            severity="medium",
            title=f"{outside / inputs:.0%} of the inputs lie outside what trusted examples cover",
            detail=f"{outside} of {inputs} inputs are less familiar than all but {OUTSIDE:.0%} of "
            f"{calibration} trusted examples; {flagged} of them are flagged. Nothing trusted tells "
            "what an honest answer to such inputs looks like, so flags among them may be false and "
            "clear verdicts wrong.",
            action="Add examples like them to the trusted set, if they belong to the task; else "
            "find out where they come from.",
        )
    ]
