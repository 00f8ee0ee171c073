"""BAN fine-tuning: the model learns to answer trusted examples even under the worst neuron noise.

Belief: noise on the gains of neurons that raises the loss of trusted examples wakes the
backdoor; a model that withstands it has none to wake.
Equation: in every step each gain `g` and shift `b` of a unit get noise `g (1 + d)`, `b (1 + e)`,
which starts uniform in [-eps, eps] and climbs the loss by signed steps; then the weights descend
`L + rho L_noise` of trusted labels.
Source: Xu et al. 2024 (BAN), with the published eps 0.3, one step and rho 0.5. The noise is kept
within eps, which public code leaves out; networks without normalization get it on rows of their
weights.
Needs: units, training statistics, trusted examples with labels.
Cost: `(6 + 3 noise_steps) epochs` forward passes for each trusted example that is learned.
Fails when: the backdoor was trained to be quiet under noise (Grond), or trusted examples are
few.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Overlay, Progress
from anomech.learning.descent import Lesson, Lost, Objective, Relearning, descend, plainly
from anomech.learning.masks import rows
from anomech.mitigations._pruning import units_of
from anomech.mitigations._trusted import TUNING, parted
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Prunable, Task, Training, Units

Noise = Mapping[str, Tensor]
"""By parameter, relative noise of each of its rows `[units]`."""


@options
class Ban:
    """Fine-tuning under neuron noise."""

    rho: float = option(0.5, "weight of the loss under noise", gt=0)
    eps: float = option(0.3, "largest relative noise of a gain or shift", gt=0)
    noise_steps: int = option(1, "by which noise climbs", unit="steps", ge=1)
    relearning: Relearning = option(TUNING, "how the model goes on learning")
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Units, and training statistics."""
        return frozenset({Prunable, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`; suspects are not looked at.

        Raises:
            DataError: no labels, or too few examples to keep some aside.
            CapabilityError: no units.
        """
        parts = parted(task, trusted, self.kept, "ban", seed)
        units = units_of(task, trusted.examples, "ban")
        objective = self._objective(parts.lesson(self.relearning.statistics), units, seed)
        found = descend(
            task.watched,
            parts.count,
            plainly(objective),
            self.relearning,
            seed=seed,
            progress=progress,
        )
        return parts.repair(found.overlay, found.evaluations * (2 + self.noise_steps))

    def _objective(self, lesson: Lesson, units: Sequence[Units], seed: int) -> Objective:
        counts = {name: each.count for each in units for name in (each.gain, each.shift) if name}

        def objective(overlay: Overlay, places: np.ndarray) -> Lost:
            generator = torch_generator(seed, "ban", *places[:2].tolist(), len(places))
            noise: Noise = {
                name: self.eps * (2 * torch.rand(count, generator=generator) - 1)
                for name, count in counts.items()
            }
            still = {name: each.detach() for name, each in overlay.items()}
            base = {**lesson.task.state(), **still}
            for _ in range(self.noise_steps):
                leaves = {name: each.clone().requires_grad_() for name, each in noise.items()}
                worse = lesson({**still, **_noisy(base, leaves)}, places).loss
                pulls = torch.autograd.grad(worse, list(leaves.values()))
                noise = {
                    name: (each + self.eps / self.noise_steps * pull.sign()).clamp(
                        -self.eps, self.eps
                    )
                    for (name, each), pull in zip(noise.items(), pulls, strict=True)
                }
            calm = lesson(overlay, places)
            wild = lesson({**overlay, **_noisy({**base, **overlay}, noise)}, places).loss
            return Lost(calm.loss + self.rho * wild, calm.buffers)

        return objective


def _noisy(state: Overlay, noise: Noise) -> dict[str, Tensor]:
    return {name: rows(state[name], 1 + each) for name, each in noise.items()}
