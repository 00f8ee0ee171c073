"""Channel spread: planting a mechanism makes the channels of a layer less alike.

Belief: a few channels that serve a trigger grow beside many that do not, so that norms of channels
scatter more than in clean networks of the same architecture.
Equation: with `n_c = |W_c|_2` the norms of a layer's output channels, the statistic of the layer is
`log(deviation(n) / mean(n))`.
Source: none; after the per-channel views of weights in Wu and Wang 2021 (ANP) and Zheng and others
2022 (CLP).
Needs: weights alone, and clean networks of the same architecture to compare with (`--clean-model`):
layers differ from each other by nature. Cost: no forward pass.
Fails when: there are no clean networks, or they were trained by another recipe, which changes the
spread more than an attack does.
"""

import torch

from anomech.kernel.config import options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan, State
from anomech.roles.task import Ability, Task
from anomech.scanners._weights import layers_of


@options
class ChannelSpread:
    """How much the norms of each layer's channels scatter."""

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing but weights."""
        return frozenset()

    @property
    def needs_examples(self) -> bool:
        """None."""
        return False

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`."""
        return self.weigh(task.state(), None, progress=progress)

    @torch.no_grad()
    def weigh(self, state: State, base: State | None, *, progress: Progress) -> Scan:
        """See `anomech.roles.scanner.WeighingScanner`; the base is not looked at.

        Raises:
            CapabilityError: no layer has several outputs.
        """
        layers = layers_of(state)
        norms = [layer.rows.double().norm(dim=1) for layer in layers]
        ratios = [each.std() / each.mean().clamp_min(1e-300) for each in norms]
        progress("comparing channels", 1, 1)
        return Scan(
            groups=torch.arange(len(layers)),
            statistic=torch.stack(ratios).clamp_min(1e-12).log(),
            candidates={},
            facts={"layers": float(len(layers))},
            names=[layer.name for layer in layers],
            unit="layer",
        )
