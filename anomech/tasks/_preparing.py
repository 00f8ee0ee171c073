"""What an image classifier learns of its network from trusted images, and what it can then do."""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.roles.black_box import Movable, Painting, Pixels, Sureness
from anomech.roles.normalizing import Normalizing
from anomech.roles.task import (
    Ability,
    Activations,
    Depicting,
    DifferentiableInputs,
    Features,
    Layers,
    Logits,
    Pathways,
    Pictures,
    Preparation,
    Prunable,
    Stamping,
    Training,
    Variations,
)
from anomech.tasks._network import Network
from anomech.tasks._outputs import LABELS, Outputs, check_finite, kind_of, response_of
from anomech.tasks._sighting import Sighting, check_precision, scaled

ALWAYS = (
    *(Preparation, Sureness, Movable, Logits, Layers),
    *(DifferentiableInputs, Pictures, Pixels, Painting),
    *(Activations, Pathways, Prunable, Variations, Stamping, Depicting, Normalizing),
)
"""Abilities of every image classifier."""


def abilities(seen: Sighting | None) -> frozenset[Ability]:
    """Features if one layer gives the logits; losses of training if classes exclude others.

    Args:
        seen: what is known of the network; of one that has not been run, the best is hoped.
    """
    given: set[Ability] = {*ALWAYS}
    if seen is None or seen.head is not None:
        given.add(Features)
    if seen is None or seen.kind not in LABELS:
        given.add(Training)
    return frozenset(given)


def prepare(
    network: Network, few: Tensor, batches: Sequence[Tensor], outputs: Outputs, seen: Sighting
) -> Sighting:
    """What is known of a network when it has seen trusted images.

    Args:
        network: under audit.
        few: normalized images `[batch, c, h, w]`, by which the head is found.
        batches: more of them, by which the kind and the scale of outputs are told.
        outputs: what the network gives; "auto" tells it.
        seen: by the few, as if outputs were logits.
    """
    kind = outputs
    if kind == "auto":
        kind = kind_of(torch.cat([network.scores(batch, seen.layout) for batch in batches]))
    if kind != "logits":
        seen = network.sighted(few, kind)
    check_precision(seen, network.precision)
    log_odds = []
    for batch in batches:
        logits, features = network.logits(network.evaluating, seen, {}, batch)
        check_finite(logits)
        given = response_of(logits, features, None, alone=seen.kind in LABELS)
        log_odds.append(given.log_odds)
    return scaled(seen, torch.cat(log_odds))
