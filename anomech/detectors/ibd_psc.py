"""IBD-PSC: an answer that stays confident while normalizations are amplified is suspicious.

Belief: amplified parameters ruin what honest inputs excite, while a backdoor is trained so hard
that its answer only becomes more certain.
Equation: `mean_i sigmoid(own log-odds at theta_i)` over `n` networks, in which scales and shifts of
the last `i` normalizations are multiplied by `factor`; `i` begins where trusted inputs lose more
than `lost` of their answers, or with all normalizations if none loses so much.
Source: Hou, Feng, Chen, Zhang, Luo, Liu, Ma 2024 (IBD-PSC). The released code amplifies one layer
more than the formula and has no answer where trusted inputs lose too little.
Needs: layers, of which some normalize (batch, layer, group or root-mean-square normalization).
Cost: one forward pass an amplified network.
Fails when: a network normalizes nothing, or a backdoor is shallow or weak.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress, Response
from anomech.observing.varied import same_kind, varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Layers, Task, able
from anomech.roles.tracer import Health


@options
class IbdPsc:
    """Confidence under amplified normalizations."""

    factor: float = option(1.5, "that scales and shifts are multiplied by", gt=1)
    lost: float = option(0.6, "share of trusted answers whose loss begins the count", gt=0, le=1)
    networks: int = option(5, "amplified networks that are asked", unit="networks", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Layers."""
        return frozenset({Layers})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedIbdPsc":
        """Find how many normalizations trusted answers bear.

        Raises:
            CapabilityError: the network normalizes nothing.
        """
        names = normalizations(anchors.task)
        if not names:
            raise CapabilityError(
                f"ibd_psc amplifies normalizations, and this {anchors.task.kind} has none that "
                "are watched; leave the detector out."
            )
        first = len(names)
        for count in range(1, len(names) + 1):
            stays = varied(
                anchors,
                None,
                same_kind(anchors),
                stage=f"amplifying {count} of {len(names)} normalizations",
                progress=progress,
                overlay=amplified(anchors.task, names[-count:], self.factor),
                judged=False,
            )
            if 1 - float(stays.mean()) > self.lost:
                first = count
                break
        counts = range(first, min(first + self.networks, len(names) + 1))
        return FittedIbdPsc(self, names, list(counts))


@dataclass(frozen=True)
class FittedIbdPsc:
    """Names of all normalizations in order, and how many of the last each network amplifies."""

    chosen: IbdPsc
    names: list[str]
    counts: list[int]
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One pass an amplified network."""
        return float(len(self.counts))

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Mean probability of the own answer."""
        total = torch.zeros(len(observed)).double()
        for count in self.counts:
            overlay = amplified(observed.task, self.names[-count:], self.chosen.factor)
            stage = f"amplifying {count} normalizations"
            total += varied(
                observed, None, _probability, stage=stage, progress=progress, overlay=overlay
            )
        return Scores(total / len(self.counts), {})


def normalizations(task: Task) -> list[str]:
    """Layers that own a scale for each channel of what they normalize, in the network's order."""
    found = []
    for name, module in able(task, Layers).layers().items():
        weight = dict(module.named_parameters(recurse=False)).get("weight")
        if name and weight is not None and weight.ndim == 1 and "norm" in _kind(module):
            found.append(name)
    return found


def amplified(task: Task, names: list[str], factor: float) -> dict[str, Tensor]:
    """Scales and shifts of some layers, multiplied, as an overlay."""
    modules = able(task, Layers).layers()
    return {
        f"{name}.{part}": tensor.detach() * factor
        for name in names
        for part, tensor in modules[name].named_parameters(recurse=False)
        if part in ("weight", "bias")
    }


def _kind(module: object) -> str:
    """BatchNorm2d, LayerNorm, GroupNorm, LlamaRMSNorm and their like, in small letters."""
    return type(module).__name__.lower()


def _probability(response: Response, own: Tensor) -> Tensor:
    return response.log_odds.double().sigmoid()
