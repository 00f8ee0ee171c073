"""Channel Lipschitz bounds: a channel that a trigger drives reacts more strongly than its layer.

Belief: the channels that carry a planted trigger amplify small changes of the input, so that their
bound stands out within their layer.
Equation: `L_c = sigma_max(W_c) |gamma_c| / sqrt(var_c)` for every output channel, with `W_c`
`[inputs, kernel]` and the batch normalization that follows, if names tell which; the statistic of a
layer is `max_c (L_c - mean) / deviation` over its channels.
Source: Zheng, Tang, Li, Liu 2022, "Data-free backdoor removal based on channel Lipschitzness"
(CLP); it prunes channels above 3 deviations, which many clean networks have too.
Needs: weights alone. Cost: no forward pass.
Fails when: an attack was made against it (Grond), or the normalization cannot be told from names;
without clean models of the same architecture the statistic is no p-value.
"""

import torch

from anomech.kernel.config import option, options
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan, State
from anomech.roles.task import Ability, Task
from anomech.scanners._weights import channel_bounds


@options
class ChannelLipschitz:
    """How far the most sensitive channel of each layer stands out."""

    cutoff: float = option(3.0, "deviations from which on a channel is counted", gt=0)

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

    def weigh(self, state: State, base: State | None, *, progress: Progress) -> Scan:
        """See `anomech.roles.scanner.WeighingScanner`; the base is not looked at.

        Raises:
            CapabilityError: no layer has several outputs.
        """
        bounds = channel_bounds(state)
        indices = {name: index(each) for name, each in bounds.items()}
        progress("bounding channels", 1, 1)
        above = sum(int((each > self.cutoff).sum()) for each in indices.values())
        largest = torch.stack([each.max() for each in indices.values()])
        return Scan(
            groups=torch.arange(len(largest)),
            statistic=largest,
            candidates={},
            facts={
                "channels": float(sum(map(len, indices.values()))),
                f"channels above {self.cutoff:g}": float(above),
            },
            names=list(indices),
            unit="layer",
        )


def index(bounds: torch.Tensor) -> torch.Tensor:
    """Deviations of each bound `[channels]` from the mean of its layer; 0 where all are alike."""
    spread = bounds.std()
    centered = bounds - bounds.mean()
    return centered / spread if spread > 0 else torch.zeros_like(bounds)
