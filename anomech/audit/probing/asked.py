"""All questions that need no detector."""

import torch

from anomech.audit.judge.trusted import TrustedSplit
from anomech.audit.probing import coverage, outputs, stability
from anomech.kernel.task import Task
from anomech.records import Finding


def ask(task: Task, split: TrustedSplit) -> list[Finding]:
    """What a prepared model and its trusted set show before anything is judged."""
    found = [*outputs.probe(task), *stability.probe(task, split.everything.examples)]
    if split.covered is not None:
        classes = split.everything.logits.shape[1]
        names = task.group_words(torch.arange(classes))
        found += coverage.probe(split.covered, names)
    return found
