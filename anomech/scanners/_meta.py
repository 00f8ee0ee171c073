"""A classifier of networks: what MNTD and ULP learn of shadow networks, and the scan it gives."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.types import Overlay, Progress
from anomech.roles.scanner import Scan
from anomech.roles.task import Task
from anomech.roles.tracer import Health
from anomech.scanners._shadows import Shadows, logits_at

HELD_OUT = 3
"""One of so many shadows takes no part in learning; those without a trigger say what is usual."""

NARROW = 0.1
"""Deviation that held-out scores have at least; a few may be alike by chance."""


class Meta:
    """Queries and a classifier of the answers to them, which learn together.

    Args:
        queries: points `[queries, ...]`, not yet tuned.
        weights: of the classifier.
        judge: the score of a network, one number, from its logits `[queries, classes]`.
        penalty: of the queries.
    """

    def __init__(
        self,
        queries: Tensor,
        weights: Sequence[Tensor],
        judge: Callable[[Tensor], Tensor],
        penalty: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.queries = queries.detach().clone().requires_grad_()
        self.weights, self.judge, self.penalty = list(weights), judge, penalty

    def scan(
        self,
        task: Task,
        batch: Any,
        made: Shadows,
        *,
        epochs: int,
        rate: float,
        progress: Progress,
    ) -> Scan:
        """Learn from the shadows and judge the model.

        Args:
            task: the model.
            batch: inputs whose form the queries have.
            made: shadow networks of its architecture.
            epochs: passes over the shadows.
            rate: learning rate of Adam.
            progress: told the stage "learning queries" after every pass.
        """
        free = [self.queries, *self.weights]
        optimizer = torch.optim.Adam(free, lr=rate)
        learned = [each for n, each in enumerate(made.labeled) if n // 2 % HELD_OUT != 0]
        for epoch in range(epochs):
            for overlay, planted in learned:
                with torch.enable_grad():
                    said = self.judge(logits_at(task, overlay, self.queries, batch))
                    wanted = torch.full_like(said, planted)
                    loss = functional.binary_cross_entropy_with_logits(said, wanted)
                    if self.penalty is not None:
                        loss = loss + self.penalty(self.queries)
                    slopes = torch.autograd.grad(loss, free)
                for each, slope in zip(free, slopes, strict=True):
                    each.grad = slope
                optimizer.step()
            progress("learning queries", epoch + 1, epochs)
        usual = [self._score(task, overlay, batch) for overlay in made.clean[::HELD_OUT]]
        planted_ = [self._score(task, overlay, batch) for overlay in made.planted[::HELD_OUT]]
        passes = 3.0 * epochs * len(learned) * len(self.queries)
        score = self._score(task, {}, batch)
        return scanned(score, usual, planted_, made.evaluations + passes)

    @torch.no_grad()
    def _score(self, task: Task, overlay: Overlay, batch: Any) -> float:
        return float(self.judge(logits_at(task, overlay, self.queries, batch)))


def scanned(
    score: float, usual: Sequence[float], planted: Sequence[float], evaluations: float
) -> Scan:
    """The scan of a model as a whole.

    Args:
        score: of the model.
        usual: of held-out shadows without a trigger.
        planted: of held-out shadows with one.
        evaluations: forward passes.
    """
    values = torch.tensor(usual, dtype=torch.float64)
    spread = float(values.std()) if len(values) > 1 else 1.0
    statistic = (score - float(values.mean())) / max(spread, NARROW)
    told = [float(one > other) for one in planted for other in usual]
    return Scan(
        groups=torch.zeros(1, dtype=torch.int64),
        statistic=torch.tensor([statistic], dtype=torch.float64),
        candidates={},
        health=Health(),
        evaluations=evaluations,
        facts={"score": score, "AUROC on held-out shadows": sum(told) / max(len(told), 1)},
        names=("the model",),
        unit="model",
    )
