"""Whether planting triggers costs little beside the audit; counted, so that a plan repeats itself.

Costs are in forward passes of one example. A clock would let the same plan plant on one machine and
not on another.
"""

from anomech.audit.judge.fitting import Fitted
from anomech.audit.sensitivity.options import Planting
from anomech.audit.sensitivity.parts import SHARES
from anomech.learning.descent import BACKWARD
from anomech.learning.twins import BATCH
from anomech.roles.detector import TaughtDetector
from anomech.roles.task import Stamping, able


def worth(fitted: Fitted, inputs: int, how: Planting) -> bool:
    """Whether planting takes at most its share of all that an audit computes.

    Args:
        fitted: what the audit has fitted.
        inputs: that it will judge.
        how: what it would plant.

    Raises:
        CapabilityError: the task has no triggers.
    """
    lead, trusted = fitted.lead, len(fitted.trusted)
    one = 1 + lead.evaluations
    taught = lead.fitted
    fit = taught.lessons if isinstance(taught, TaughtDetector) else trusted * one
    judged = 2 * SHARES[-1] * trusted * (1 + lead.fitted.evaluations)
    triggers = how.triggers or able(fitted.task, Stamping).triggers
    planting = len(triggers) * (BACKWARD * how.steps * BATCH + fit + judged)
    return planting <= how.share * (planting + fit + inputs * one)
