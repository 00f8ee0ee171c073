"""What code a plan's verdicts come from, so that no edited detector is given old chunks."""

from anomech.audit.judge.detectors import make_detector
from anomech.audit.plan import Plan
from anomech.storage.code import NUMBERLESS, code_digest, code_of


def judging_code(plan: Plan) -> str:
    """Hash of the sources of a plan's detectors, and of how they are calibrated and asked."""
    detectors = [make_detector(name, options) for name, options in plan.detectors.items()]
    judging = code_digest(
        "anomech.audit.judge.fitting", "anomech.audit.judge.piece", apart_from=NUMBERLESS
    )
    return f"{judging} {code_of(*detectors)}"
