"""Confirmation by attribution: whether what a recovered trigger does looks planted to an audit.

A planted backdoor answers with one mechanism that trusted examples do not explain and that is
forgotten when the model goes on learning them; a natural feature of a class, which a search finds
on clean models, is explained by that class and stays. So the trigger is laid over held-out trusted
inputs and these are judged as an audit judges its inputs. How well these numbers tell planted
triggers from natural ones was measured on clean and attacked networks: `docs/results/scan.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from anomech.attribution.couplings import cosine
from anomech.audit.auditor import Auditor, FittedAuditor
from anomech.kernel.errors import AnomechError
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.learning.laid import Laid
from anomech.observing.observed import Observed, observe
from anomech.roles.detector import ExplainingDetector
from anomech.roles.scanner import Candidate
from anomech.roles.task import DifferentiableInputs, Task, Training, able

BUDGET = 0.05
"""False-positive rate of the audit."""

OPTIONS: Mapping[str, Mapping[str, int]] = {"twins": {"rungs": 0}}
"""Of the default detector: no copies of its own, since relearning is asked for by itself."""

RELEARNING = Relearning(epochs=5, rate=0.02)

FEWEST = 10
"""Inputs that a trigger leads, below which nothing is said of them."""


@dataclass(frozen=True)
class Witness:
    """An audit of the model and a twin that went on learning trusted examples.

    Attributes:
        auditor: fitted to the trusted examples.
        relearned: the twin, as tensors laid over the model; None if it cannot learn.
    """

    auditor: FittedAuditor
    relearned: Overlay | None

    def facts(self, trigger: Candidate, group: int, held_out: Observed) -> Mapping[str, float]:
        """What attribution says of a trigger; empty if it leads too few inputs.

        Args:
            trigger: that was recovered.
            group: the answer it leads to.
            held_out: trusted examples that it was not made from.
        """
        task = held_out.task
        others = held_out.take(torch.nonzero(held_out.groups != group).flatten().numpy())
        space = able(task, DifferentiableInputs)
        laid = Laid(space, others.examples, trigger.apply, np.ones(len(others), bool))
        stamped = observe(task, laid)
        led = torch.nonzero(stamped.groups == group).flatten().numpy()
        if len(led) < FEWEST:
            return {}
        verdicts = self.auditor.score(laid)
        flagged = np.mean([verdicts[place].decision == "flag" for place in led])
        found = {"flagged share": float(flagged)}
        fitted = self.auditor.calibrated.fitted
        if isinstance(fitted, ExplainingDetector):
            rows = fitted.unexplained(stamped.take(led), silent)
            coupling = cosine(rows, rows)
            pairs = len(led) * (len(led) - 1)
            found["cohesion"] = float((coupling.sum() - coupling.diagonal().sum()) / pairs)
        if self.relearned is not None:
            after = observe(task.with_(self.relearned), laid)
            found["forgotten share"] = float((after.groups[led] != group).double().mean())
        return found


def witness(task: Task, trusted: Observed, seed: int, progress: Progress) -> Witness | None:
    """Fit the audit and relearn the twin; None if the trusted examples do not allow an audit.

    Args:
        task: the model.
        trusted: examples that triggers were searched with.
        seed: of everything random.
        progress: told about every stage.
    """
    try:
        auditor = Auditor(budget=BUDGET, options=OPTIONS, seed=seed).fit(
            task, trusted.examples, progress=progress
        )
    except AnomechError:  # such as too few of them: then confirmation says less
        return None
    labels, relearned = trusted.examples.labels, None
    if labels is not None and Training in task.provides:
        answers = able(task, Training).targets(labels)
        lesson = Lesson(task, trusted.examples, answers)
        relearned = descend(
            task.watched, len(labels), plainly(lesson), RELEARNING, seed=seed, progress=progress
        ).overlay
    return Witness(auditor, relearned)
