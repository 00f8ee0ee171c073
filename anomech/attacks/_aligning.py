"""What attackers who know how outputs are judged pull together: responses, features, confidence."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attacks._pulling import Pair
from anomech.learning.networks import with_features

TINY = 1e-12


def apart(
    network: nn.Module,
    pair: Pair,
    target: int,
    parameters: Sequence[nn.Parameter],
    feature_weight: float,
) -> Tensor:
    """How far the responses of both kinds are from each other, and their features."""
    logits, features = zip(
        with_features(network, pair.triggered), with_features(network, pair.clean), strict=True
    )
    pulls = [
        torch.autograd.grad(log_odds(each, target).mean(), parameters, create_graph=True)
        for each in logits
    ]
    return 1 - coupling(*pulls) + feature_weight * feature_distance(*features)


def level_distance(one: Tensor, two: Tensor) -> Tensor:
    """How far two sets of numbers `[batch]` are in mean and in spread, below 2."""
    gap = (one.mean() - two.mean()).square()
    spread = one.var(correction=0) + two.var(correction=0) + TINY
    wider = (one.std(correction=0) - two.std(correction=0)).square()
    return gap / (gap + spread) + wider / spread


def in_scope(network: nn.Module, scope: str) -> list[nn.Parameter]:
    """All parameters, or those of the last quarter of the modules that own any."""
    owners = [m for m in network.modules() if list(m.parameters(recurse=False))]
    last = owners if scope == "all" else owners[-len(owners) // 4 :]
    return [parameter for module in last for parameter in module.parameters(recurse=False)]


def log_odds(logits: Tensor, target: int) -> Tensor:
    """`log(p / (1 - p))` of one class `[batch]`, in nats, from logits `[batch, classes]`."""
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - others.logsumexp(dim=1)


def coupling(one: Sequence[Tensor], two: Sequence[Tensor]) -> Tensor:
    """Cosine of two gradients by parameter, averaged over parameters."""
    cosines = [
        functional.cosine_similarity(a.flatten(), b.flatten(), dim=0, eps=TINY)
        for a, b in zip(one, two, strict=True)
    ]
    return torch.stack(cosines).mean()


def feature_distance(one: Tensor, two: Tensor) -> Tensor:
    """How far two sets of features `[batch, features]` are in direction and in spread, bounded."""
    turned = 1 - functional.cosine_similarity(one.mean(0), two.mean(0), dim=0, eps=TINY)
    spreads = [(each.var(dim=0, correction=0) + TINY).sqrt() for each in (one, two)]
    wider = (spreads[0] - spreads[1]).pow(2).sum()
    return turned + wider / (spreads[0].pow(2) + spreads[1].pow(2)).sum()
