"""A defender's relearning, as an attacker imagines it: a few large steps on clean images."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from anomech.learning.twins import length_of
from anomech.roles.attack import Batch

STEPS = 6
"""Of descent; a defender takes more of them, which an attacker cannot afford in every step."""


def pushed(network: nn.Module, batch: Batch, rates: tuple[float, float]) -> Mapping[str, Tensor]:
    """The network's tensors after relearning on a batch's clean images, by name.

    How far each parameter moves is a constant, so that a loss at the pushed network goes back to
    the parameters as they are: the first-order form of meta-learning (Finn, Abbeel, Levine 2017).

    Args:
        network: in training mode; nothing of it changes.
        batch: clean images with labels.
        rates: the least and the largest length of a step, as shares of each tensor's length; one
            between them is drawn, evenly in its logarithm.
    """
    low, high = rates
    rate = low * (high / low) ** float(batch.rng.random())
    names = [name for name, _ in network.named_parameters()]
    start = {name: each.detach() for name, each in network.named_parameters()}
    buffers = {name: each.detach().clone() for name, each in network.named_buffers()}
    moved = dict(start)
    for step in range(STEPS):
        leaves = {name: each.detach().requires_grad_() for name, each in moved.items()}
        logits = functional_call(network, {**leaves, **buffers}, (batch.inputs,))
        loss = functional.cross_entropy(logits.float(), batch.labels)
        pulls = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
        size = rate * (1 - step / STEPS)
        for name, pull in zip(names, pulls, strict=True):
            if pull is not None and float(pull.norm()) > 0:
                moved[name] = moved[name] - size * length_of(start[name]) * pull / pull.norm()
    live = dict(network.named_parameters())
    return {**{name: live[name] + (moved[name] - start[name]) for name in names}, **buffers}


def logits_at(network: nn.Module, tensors: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Logits `[batch, classes]` at other tensors, float32, in evaluation mode."""
    training = network.training
    network.eval()
    logits: Tensor = functional_call(network, dict(tensors), (images,))
    network.train(training)
    return logits.float()
