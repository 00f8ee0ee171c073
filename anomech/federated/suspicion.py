"""How much of a client's update trusted examples explain: this project's question, of an update.

A server that holds a few examples it trusts knows in which directions they would move the model.
What training on honest data of the same kind changes is largely made of those directions, none of
them backwards; what plants something new is not. With unit gradients `phi_i` of the log-odds of the
trusted labels as rows of `Phi`, and the unit update `u`, the unexplained share is
`min over a >= 0 of |u - Phi' a|^2 + ridge |a|^2`. The span alone, in which directions may be taken
backwards, explains training on false labels as well as on true ones.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from anomech.federated.clients import Part
from anomech.federated.local import with_weights
from anomech.federated.weights import difference, flat
from anomech.learning.pixels import as_float
from anomech.roles.federation import Update, Weights

RIDGE = 0.1
"""Of unit rows, as in the detectors of this project."""


def unexplained(
    network: nn.Module, trusted: Part, updates: Sequence[Update], *, ridge: float = RIDGE
) -> np.ndarray:
    """Unexplained share of each update, float64 `[updates]` in [0, 1]; higher is stranger.

    Args:
        network: the architecture.
        trusted: examples of the server, of every kind that honest clients hold.
        updates: each is judged at the weights it began with.
        ridge: lambda.
    """
    found = []
    known: dict[int, Tensor] = {}
    for update in updates:
        if id(update.start) not in known:
            known[id(update.start)] = trusted_directions(network, update.start, trusted)
        move = _parameters(network, difference(update))
        found.append(beyond(known[id(update.start)], move / move.norm().clamp_min(1e-12), ridge))
    return np.array(found)


def beyond(rows: Tensor, move: Tensor, ridge: float) -> float:
    """The part of a unit vector that no forward mixture of rows reaches, in [0, 1].

    Args:
        rows: `[examples, parameters]`, float64.
        move: `[parameters]`.
        ridge: lambda.
    """
    gram = rows @ rows.T + ridge * torch.eye(len(rows), dtype=rows.dtype)
    lower = torch.linalg.cholesky(gram)
    aimed = torch.linalg.solve_triangular(lower, (rows @ move)[:, None], upper=False)[:, 0]
    shares, _ = nnls(lower.T.numpy(), aimed.numpy())
    mixed = torch.from_numpy(shares)
    left = 1 - 2 * float(mixed @ (rows @ move)) + float(mixed @ gram @ mixed)
    return min(max(left, 0.0), 1.0)


def trusted_directions(network: nn.Module, weights: Weights, trusted: Part) -> Tensor:
    """Unit gradients of the log-odds of trusted labels, float64 `[examples, parameters]`."""
    model = with_weights(network, weights)
    inputs, rows = as_float(trusted[0]), []
    for place, label in enumerate(trusted[1].tolist()):
        logits = model(inputs[place : place + 1])[0]
        others = torch.cat([logits[:label], logits[label + 1 :]]).logsumexp(dim=0)
        slopes = torch.autograd.grad(logits[label] - others, list(model.parameters()))
        row = torch.cat([slope.double().flatten() for slope in slopes])
        rows.append(row / row.norm().clamp_min(1e-12))
    return torch.stack(rows)


def _parameters(network: nn.Module, change: Weights) -> Tensor:
    """The part of a change that parameters make, in their order."""
    return flat({name: change[name] for name, _ in network.named_parameters()})
