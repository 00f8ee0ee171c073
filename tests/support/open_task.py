"""An image classifier whose pixels and activations are open, for methods that ask for them."""

from contextlib import ExitStack

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from anomech.kernel.task import Activations, DifferentiableInputs, Logits
from anomech.kernel.types import Response


class OpenTask:
    """A task with two abilities more; it passes everything else on."""

    def __init__(self, task):
        self.inner = task
        self.provides = task.provides | {DifferentiableInputs, Activations, Logits}

    def __getattr__(self, name):
        if name == "inner":  # not there yet, while it is unpickled or copied
            raise AttributeError(name)
        return getattr(self.inner, name)

    def with_(self, overlay):
        return OpenTask(self.inner.with_(overlay))

    def embed(self, batch):
        return torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255

    def project(self, points):
        return points.clamp(0, 1)

    def realize(self, points, batch):
        return (points * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()

    def respond_at(self, overlay, points, batch, answers=None):
        logits = functional_call(self.inner.network, dict(overlay), (points,)).float()
        if answers is None:
            answers = logits.detach().argmax(dim=1)
        own = logits.gather(1, answers[:, None]).squeeze(1)
        mask = functional.one_hot(answers, logits.shape[1]).bool()
        log_odds = own - logits.masked_fill(mask, -torch.inf).logsumexp(dim=1)
        return Response(answers, log_odds, functional.softplus(-log_odds), logits)

    def points(self):
        kinds = nn.Conv2d | nn.BatchNorm2d | nn.Linear
        return [
            name for name, module in self.inner.network.named_modules() if isinstance(module, kinds)
        ]

    def respond_with(self, overlay, batch, changes, answers=None):
        with ExitStack() as hooks:
            for name, change in changes.items():
                module = self.inner.network.get_submodule(name)
                handle = module.register_forward_hook(
                    lambda module, inputs, output, change=change: change(output)
                )
                hooks.callback(handle.remove)
            return self.inner.respond(overlay, batch, answers)
