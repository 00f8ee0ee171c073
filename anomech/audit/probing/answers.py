"""Whether inputs are answered as trusted examples are, over all of them together."""

from collections.abc import Mapping

from anomech.calibration.shift import LEVEL, shift
from anomech.kernel.errors import shortened
from anomech.records import Finding


def probe(inputs: Mapping[str, int], trusted: Mapping[str, int]) -> list[Finding]:
    """A finding that names the answer with more inputs than chance gives.

    Never of high severity: traffic may hold more of a class for honest reasons.

    Args:
        inputs: how many inputs have each answer.
        trusted: how many trusted examples have it.
    """
    found = shift(inputs, trusted)
    if found is None or found.chance > LEVEL:
        return []
    asked, known = sum(inputs.values()), sum(trusted.values())
    return [
        Finding(
            code="answers-shifted",
            severity="medium",
            title=f"{found.inputs} of {asked} inputs are answered '{shortened(found.answer, 60)}', "
            "more than trusted examples suggest",
            detail=f"That is {found.inputs / asked:.1%} of the inputs against "
            f"{found.trusted / known:.1%} of the trusted examples ({found.trusted} of {known}). So "
            f"large an excess of any answer has a probability {_small(found.chance)} if both are "
            f"answered alike; this test is wrong in {LEVEL:.1%} of such runs at the most, apart "
            "from the budget of the verdicts.",
            action="Look at inputs with this answer, also at those that are not flagged. If "
            "traffic simply holds more of it, give trusted examples in the proportions of the "
            "traffic: p-values assume them.",
        )
    ]


def _small(chance: float) -> str:
    return "below one in a billion" if chance < 1e-9 else f"of at most {chance:.1g}"
