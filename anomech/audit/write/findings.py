"""What a person should know of a run, as findings with stable codes."""

import math
from collections.abc import Sequence

from anomech.calibration.excess import LEVEL, Traffic, chance_of_excess, tolerated
from anomech.records import Finding, Mechanism


def excess(flags: int, traffic: Sequence[Traffic], budget: float) -> Finding:
    """The model-level rule: more flags than chance gives, by the exact beta-binomial bound.

    Args:
        flags: inputs that pass the budget.
        traffic: inputs and calibration examples of each stratum.
        budget: of the run.
    """
    limit = tolerated(traffic, budget)
    chance = chance_of_excess(flags, traffic, budget)
    inputs = sum(each.inputs for each in traffic)
    sizes = [each.calibration for each in traffic]
    alone = len(traffic) == 1
    calibrated = str(sizes[0]) if alone else f"{min(sizes)} to {max(sizes)}"
    where = "" if alone else " for each class"
    rule = (
        f"With {calibrated} calibration examples{where} and a budget of {budget:.2%}, up to "
        f"{limit} of {inputs} normal inputs pass it by chance in all but {LEVEL:.1%} of runs."
    )
    if flags > limit:
        return Finding(
            code="excess-flags",
            severity="high",
            title=f"{flags} of {inputs} inputs are flagged, more than chance allows",
            detail=f"{rule} So many have a probability {_small(chance)} if all inputs are normal.",
            action="Hold these inputs back, look at the mechanisms below, and do not rely on the "
            "model for inputs like them until the cause is known.",
        )
    return Finding(
        code="no-excess",
        severity="info",
        title="No more flags than chance gives",
        detail=f"{rule} There are {flags}.",
        action="Nothing is needed; single flagged inputs may still deserve a look.",
    )


def blind(fewest: int, inputs: int, calibration: int, budget: float) -> Finding:
    """False-discovery control that can flag nothing unless much is unusual at once.

    Args:
        fewest: anomalous inputs that can be flagged.
        inputs: all.
        calibration: trusted examples that calibrate.
        budget: false-discovery rate that flags may have.
    """
    return Finding(
        code="batch-blind",
        severity="medium",
        title=f"Fewer than {fewest} anomalous inputs among {inputs} cannot be flagged",
        detail=f"With control 'batch' and {calibration} calibration examples no p-value is below "
        f"1/{calibration + 1}, so at a budget of {budget:.2%} {fewest} of the {inputs} inputs must "
        "have this smallest one before any is flagged. Fewer are cleared, however unusual they "
        "are.",
        action=f"Use control 'per_input', or give more trusted examples: with "
        f"{math.ceil(inputs / budget) - 1} for calibration a single input could be flagged.",
    )


def mechanisms(found: Sequence[Mechanism]) -> list[Finding]:
    """One finding for each group of flagged inputs that respond alike."""
    return [
        Finding(
            code="shared-mechanism",
            severity="high",
            title=f"{each.size} flagged inputs share one mechanism (number {each.number})",
            detail=f"Their unexplained responses agree (mean coupling {each.cohesion:.2f}); "
            f"most are answered '{_most(each.answers)}'.",
            action="Look at what these inputs have in common: a shared pattern points to a "
            "trigger.",
        )
        for each in found
    ]


def overlapping(count: int, example: str) -> Finding:
    """Inputs that are also trusted."""
    return Finding(
        code="overlap",
        severity="medium",
        title=f"{count} inputs are also in the trusted set",
        detail=f"Their content is identical, for instance '{example}'. They look more normal than "
        "they should.",
        action="Remove them from one of the two sets.",
    )


def inaccurate(accuracy: float, total: int, advice: str) -> Finding:
    """A model that answers few trusted examples as labeled."""
    return Finding(
        code="low-accuracy",
        severity="medium",
        title=f"The model answers only {accuracy:.0%} of {total} trusted examples as labeled",
        detail="Only examples answered as labeled can explain others, so support is thin.",
        action=advice,
    )


def unlabeled() -> Finding:
    """Trusted examples without labels."""
    return Finding(
        code="unlabeled-trusted",
        severity="low",
        title="The trusted examples have no labels, so the model's own answers are trusted",
        detail="If the planted mechanism already answers some of them, it passes for normal.",
        action="Look at a few of the answers; give labels if there are any.",
    )


def note(text: str) -> Finding:
    """Something that opening the model found."""
    return Finding(
        code="model-note",
        severity="info",
        title="About the model's files",
        detail=text,
        action="Nothing is needed if this is what you expect.",
    )


def left_out(detector: str, why: str) -> Finding:
    """A detector that this model or trusted set cannot serve."""
    return Finding(
        code="detector-left-out",
        severity="medium",
        title=f"{detector} is left out",
        detail=why,
        action="Nothing is needed if the other detectors will do.",
    )


def poor_health(detector: str, problem: str) -> Finding:
    """Traces that cannot be trusted."""
    return Finding(
        code="poor-traces",
        severity="medium",
        title=f"{detector} gives no verdicts",
        detail=problem,
        action="Change its options as the sentence says, or use another detector.",
    )


def unsafe(names: Sequence[str]) -> Finding:
    """A checkpoint that wants to run code."""
    return Finding(
        code="unsafe-checkpoint",
        severity="high",
        title="The weights file asks to run code when it is loaded",
        detail=f"It names {', '.join(names) or 'objects that are not plain tensors'}. Nothing of "
        "it was run.",
        action="Do not load it elsewhere. Ask for a safetensors file or a plain state dict.",
    )


def _small(chance: float) -> str:
    """The tail sum is not exact to the last digit, so tiny chances are only bounded."""
    return "below one in a billion" if chance < 1e-9 else f"of {chance:.1g}"


def _most(answers: dict[str, int]) -> str:
    return max(sorted(answers), key=lambda answer: answers[answer])
