"""What runs at a client: training, answering and embedding. The rest of the program asks by number.

Every function here is `function(Shared, piece)` at the top level, so that an engine can run it
anywhere. Randomness is addressed by round and client, so where and in which order changes nothing.
"""

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.federated.clients import Client
from anomech.federated.weights import moved
from anomech.kernel.config import option, options
from anomech.kernel.errors import ModelError
from anomech.kernel.randomness import numpy_generator
from anomech.learning.networks import with_features
from anomech.learning.pixels import as_float
from anomech.learning.training import predict
from anomech.roles.federation import Weights

CHUNK = 256
"""Images in one pass that nothing is learned from."""


@options
class Local:
    """How a client trains in one round: plain SGD, whose momentum begins anew each time."""

    epochs: int = option(10, "passes over the client's images", unit="epochs", ge=1)
    batch: int = option(64, "images a step", unit="images", ge=2)
    rate: float = option(0.01, "learning rate", gt=0)
    momentum: float = option(0.9, "share of the last step that is repeated", ge=0, le=1)
    weight_decay: float = option(1e-6, "weight decay", ge=0)


@dataclass(frozen=True, eq=False)
class Shared:
    """What all questions to clients share.

    Attributes:
        network: the architecture.
        clients: with their data.
        local: how they train.
        seed: of everything random.
    """

    network: nn.Module
    clients: tuple[Client, ...]
    local: Local
    seed: int


class Training(NamedTuple):
    """A piece for `train`: client, round and the weights it is given."""

    client: int
    round: int
    weights: Weights


class Answering(NamedTuple):
    """A piece for `accuracy` and `loss`: client, and weights of the model it tries."""

    client: int
    weights: Weights


def with_weights(network: nn.Module, weights: Weights) -> nn.Module:
    """A copy of a network with other weights, in evaluation mode."""
    made = copy.deepcopy(network)
    made.load_state_dict(dict(weights))
    return made.eval()


def train(shared: Shared, piece: Training) -> dict[str, Tensor]:
    """The weights that a client sends after one round.

    Raises:
        ModelError: training diverged.
    """
    client = shared.clients[piece.client]
    malice = client.malice if client.malice and piece.round >= client.malice.since else None
    part = client.train if malice is None else malice.train
    network = with_weights(shared.network, piece.weights).train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=shared.local.rate,
        momentum=shared.local.momentum,
        weight_decay=shared.local.weight_decay,
    )
    for epoch in range(shared.local.epochs):
        for chosen in _batches(shared, piece, epoch, len(part[1])):
            logits = network(as_float(part[0][chosen]))
            loss = functional.cross_entropy(logits, torch.from_numpy(part[1][chosen]))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    if not torch.isfinite(loss.detach()):
        raise ModelError(
            f"the client {client.name} diverged in round {piece.round + 1}; lower local.rate."
        )
    sent = {name: tensor.detach() for name, tensor in network.state_dict().items()}
    return sent if malice is None else boosted(piece.weights, sent, malice.boost)


def boosted(start: Weights, weights: Weights, factor: float) -> dict[str, Tensor]:
    """An update made longer, so that it outvotes those of others (model replacement)."""
    if factor == 1:
        return dict(weights)
    change = {
        name: tensor - start[name] for name, tensor in weights.items() if tensor.is_floating_point()
    }
    return {**weights, **moved({name: start[name] for name in change}, change, factor)}


def _batches(shared: Shared, piece: Training, epoch: int, count: int) -> list[np.ndarray]:
    """Places of each step; one image alone, which no batch statistic bears, is left out."""
    rng = numpy_generator(shared.seed, "local", piece.round, piece.client, epoch)
    order = rng.permutation(count)
    parts = np.split(order, range(shared.local.batch, count, shared.local.batch))
    return [part for part in parts if len(part) > 1 or len(parts) == 1]


def accuracy(shared: Shared, piece: Answering) -> float:
    """Share of a client's test images that weights answer rightly."""
    images, labels = shared.clients[piece.client].test
    network = with_weights(shared.network, piece.weights)
    return float((predict(network, images) == labels).mean())


@torch.no_grad()
def loss(shared: Shared, piece: Answering) -> float:
    """Mean cross-entropy of weights on a client's training images, nats."""
    images, labels = shared.clients[piece.client].train
    network, total = with_weights(shared.network, piece.weights), 0.0
    for start in range(0, len(labels), CHUNK):
        logits = network(as_float(images[start : start + CHUNK]))
        targets = torch.from_numpy(labels[start : start + CHUNK])
        total += float(functional.cross_entropy(logits, targets, reduction="sum"))
    return total / len(labels)


@torch.no_grad()
def embedded(network: nn.Module, images: np.ndarray) -> np.ndarray:
    """Input of the last linear layer, float64 `[n, features]`.

    Args:
        network: in evaluation mode, so that no statistic of normalization moves.
        images: uint8 `[n, h, w, c]`.
    """
    parts = [
        with_features(network, as_float(images[start : start + CHUNK]))[1]
        for start in range(0, len(images), CHUNK)
    ]
    return torch.cat(parts).double().numpy()
