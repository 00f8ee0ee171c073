"""Tasks whose losses are known functions of one parameter vector."""

import numpy as np
import torch

from anomech.kernel.types import Response


class LinearTask:
    """Losses are linear in the parameters: `loss_i = x_i . theta`, and the log-odds minus that."""

    kind = "toy"
    provides = frozenset()

    def __init__(self, curvature=0.0):
        self.watched = {"theta": torch.tensor([0.3, -0.2, 0.5])}
        self.curvature = curvature

    def respond(self, overlay, batch, answers=None):
        theta = overlay.get("theta", self.watched["theta"])
        values = torch.from_numpy(batch)
        losses = values @ theta + self.curvature * (theta**2).sum()
        answers = torch.zeros(len(batch), dtype=torch.int64) if answers is None else answers
        return Response(answers, -losses, losses)

    def groups(self, answers):
        return answers

    def passes(self, examples):
        yield np.arange(len(examples))


class QuadraticTask(LinearTask):
    """The loss of every example is `sum_k h_k (theta_k - start_k)^2 / 2`."""

    HESSIAN = torch.tensor([0.0, 50.0, 300.0])

    def respond(self, overlay, batch, answers=None):
        away = overlay.get("theta", self.watched["theta"]) - self.watched["theta"]
        losses = (0.5 * self.HESSIAN * away**2).sum().expand(len(batch))
        return Response(torch.zeros(len(batch), dtype=torch.int64), -losses, losses)


class BrokenTask(LinearTask):
    def respond(self, overlay, batch, answers=None):
        response = super().respond(overlay, batch, answers)
        losses = response.losses + (torch.nan if overlay else 0.0)
        return response._replace(losses=losses, log_odds=-losses)


class StillTask(LinearTask):
    def respond(self, overlay, batch, answers=None):
        return super().respond({}, batch, answers)
