"""All questions that need no detector."""

import torch
from torch import Tensor

from anomech.audit.probing import coverage, outputs, stability
from anomech.observing.observed import Observed
from anomech.records import Finding


def ask(trusted: Observed, covered: Tensor | None) -> list[Finding]:
    """What a prepared model and its trusted set show before anything is judged.

    Args:
        trusted: all trusted examples.
        covered: groups of answers that enough anchors share, int64; None is all.
    """
    task = trusted.task
    found = [*outputs.probe(task), *stability.probe(task, trusted.examples)]
    if covered is not None:
        names = task.group_words(torch.arange(trusted.logits.shape[1]))
        found += coverage.probe(covered, names)
    return found
