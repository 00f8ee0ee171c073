"""All questions that need no detector."""

import numpy as np
import torch
from torch import Tensor

from anomech.audit.probing import contaminated, coverage, normalization, order, outputs, stability
from anomech.observing.observed import Observed
from anomech.records import Finding
from anomech.roles.task import Logits


def ask(trusted: Observed, covered: Tensor | None) -> list[Finding]:
    """What a prepared model and its trusted set show before anything is judged.

    Args:
        trusted: all trusted examples.
        covered: groups of answers that enough anchors share, int64; None is all.
    """
    task = trusted.task
    found = [*outputs.probe(task), *stability.probe(task, trusted.examples)]
    labels = trusted.examples.labels
    if Logits in task.provides and labels is not None and labels.ndim == 1:
        wanted = np.asarray(labels)
        better = normalization.probe(trusted, wanted)
        weak = better or order.few_right(trusted.groups.numpy(), wanted)
        found += weak or contaminated.probe(trusted, wanted)
    if covered is not None:
        names = task.group_words(torch.arange(trusted.logits.shape[1]))
        found += coverage.probe(covered, names)
    return found
