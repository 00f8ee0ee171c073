"""Singular outliers: a planted mechanism is one direction of the change that tuning made.

Belief: honest tuning moves a weight matrix in many directions, a planted mechanism writes one
strong one.
Equation: with `D` the change from the base, as a matrix `[outputs, inputs * kernel]`, the statistic
is `sigma_1(D)^2 min(m, n) / |D|_F^2`: 1 for a flat spectrum, about `(1 + sqrt(m / n))^2` for noise,
and up to `min(m, n)` for a change of rank one. Without a base the weights themselves are looked at,
which tells far less.
Source: Zhong and Raghunathan 2025 (WeightWatch) look at the leading singular vectors of the change;
here their strength is compared, which takes no prompts.
Needs: weights alone, best with those that they were tuned from. Cost: no forward pass; a power
iteration for every matrix.
Fails when: the mechanism is spread over many directions, or all of the tuning was of low rank, as
with adapters: then every matrix has a large statistic.
"""

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan, State
from anomech.roles.task import Ability, Task


@options
class SingularOutliers:
    """How much of each weight matrix's change lies in one direction."""

    steps: int = option(40, "of the power iteration", ge=1)

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
        """See `anomech.roles.scanner.Scanner`; without a base."""
        return self.weigh(task.state(), None, progress=progress)

    @torch.no_grad()
    def weigh(self, state: State, base: State | None, *, progress: Progress) -> Scan:
        """See `anomech.roles.scanner.WeighingScanner`.

        Raises:
            CapabilityError: no matrix can be compared, or none differs from the base.
        """
        found: dict[str, float] = {}
        moved, length = 0.0, 0.0
        names = _comparable(state, base)
        for done, name in enumerate(names, start=1):  # one at a time: models are large
            change = state[name].detach().float().flatten(1)
            if base is not None:
                before = base[name].detach().float().flatten(1)
                change = change - before
                length += float(before.square().sum())
            moved += float(change.square().sum())
            if float(change.abs().max()) > 0:
                found[name] = concentration(change, self.steps)
            progress("comparing spectra", done, len(names))
        if not found:
            raise CapabilityError(
                "no weight matrix can be compared with the base, or none differs from it; give the "
                "weights that the model was tuned from."
            )
        facts = {"relative change": (moved / length) ** 0.5} if length else {}
        return Scan(
            groups=torch.arange(len(found)),
            statistic=torch.tensor(list(found.values()), dtype=torch.float64),
            candidates={},
            facts={"matrices": float(len(found)), **facts},
            names=list(found),
            unit="tensor",
        )


def concentration(matrix: Tensor, steps: int) -> float:
    """`sigma_1^2 min(m, n) / |D|_F^2` of a matrix `[m, n]` that is not zero, in [1, min(m, n)].

    The power iteration starts at the mean absolute row, which no leading direction is orthogonal
    to but by chance, so that it needs no random numbers.
    """
    scaled = matrix / matrix.abs().max()  # squares of tiny numbers are zero in float32
    vector = scaled.abs().mean(dim=0) * torch.where(scaled.sum(dim=0) < 0, -1.0, 1.0)
    for _ in range(steps):
        vector = scaled.T @ (scaled @ (vector / vector.norm().clamp_min(1e-30)))
    strongest = float((scaled @ (vector / vector.norm().clamp_min(1e-30))).square().sum())
    whole = float(scaled.square().sum())
    return max(1.0, strongest * min(scaled.shape) / whole)


def _comparable(state: State, base: State | None) -> list[str]:
    """Names of the weights that are matrices, in the base too if there is one."""
    return [
        name
        for name, each in state.items()
        if each.is_floating_point()
        and each.ndim >= 2
        and min(len(each), each[0].numel() if len(each) else 0) >= 2
        and (base is None or (name in base and base[name].shape == each.shape))
    ]
