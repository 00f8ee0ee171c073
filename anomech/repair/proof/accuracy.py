"""Whether trusted examples that no repair has seen are still answered rightly."""

import numpy as np
from scipy.stats import beta

from anomech.learning.answering import right
from anomech.records import Check
from anomech.repair import measures
from anomech.repair.proof.context import Context

TITLE = "Does it still answer trusted examples rightly?"
EXCELLENT, ACCEPTABLE = 0.02, 0.05
"""Lost accuracy below which a repair is graded so."""


def check(context: Context) -> Check:
    """Accuracy before and after, and how much of the loss may be chance."""
    subject, proves = context.subject, context.subject.trusted.prove
    labels = np.asarray(proves.examples.labels)
    was = right(subject.task, proves.examples, labels, {})
    now = right(subject.task, proves.examples, labels, context.overlay)
    count = len(was)
    lost, gained = int((was & ~now).sum()), int((~was & now).sum())
    drop = (lost - gained) / count
    most = _most(lost, gained, count)
    before, after = (measures.share(int(each.sum()), count) for each in (was, now))
    outcome = "passed" if drop <= context.asked.lost else "failed"
    return Check(
        name="accuracy",
        title=TITLE,
        outcome=outcome,
        said=(
            f"Accuracy went from {before.value:.1%} to {after.value:.1%} of {count} trusted "
            f"examples (95 % interval {after.low:.1%} to {after.high:.1%}): {grade(drop)}."
        ),
        numbers={
            "before": before.value,
            "after": after.value,
            "after, at least": after.low,
            "after, at most": after.high,
            "lost": drop,
            "lost, at most": most,
        },
    )


def grade(drop: float) -> str:
    """What a loss of accuracy is called: excellent below 2 %, acceptable below 5 %."""
    if drop < EXCELLENT:
        return "excellent"
    return "acceptable" if drop < ACCEPTABLE else "poor"


def _most(lost: int, gained: int, count: int) -> float:
    """An upper bound at 97.5 % of the share lost less the share gained, by the exact one lost."""
    high = float(beta.ppf(0.975, lost + 1, count - lost)) if lost < count else 1.0
    return high - gained / count
