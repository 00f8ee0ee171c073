"""Parameter shift: the smallest shift of a network's channels that makes it give one answer.

Belief: what a trigger does is to switch channels of its own; so the shift of channels that leads
all inputs to the target of a backdoor is smaller than that which leads to an honest class. It is
searched in the parameters, where nothing depends on what triggers look like.
Equation: for every class `t` offsets `d` on the biases of all normalizations (of all layers with a
bias, if there are none), in units of the spread of each layer's weights' output over channels:
`min mean CE(f_{b + s d}(x), t) + w |d|_1` over trusted inputs that are not answered by `t`, with
the weight `w` raised while the shift works and lowered while it does not; `statistic_t = (median
|d|_1 - |d_t|_1) / (1.4826 MAD)`.
Source: own, from trigger activation changes (TAC, Zheng, Tang, Li, Liu 2022) and the schedule of
Neural Cleanse.
Needs: layers, logits, trusted examples.
Cost: `3 rounds * examples` forward passes for each class.
Fails when: the backdoor shares its channels with an honest class, or leads every class elsewhere.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples
from anomech.roles.scanner import Scan
from anomech.roles.task import Ability, Layers, Logits, Task, able
from anomech.roles.tracer import Health
from anomech.scanners._classes import Drawn, drawn, each_class, few_classes, smallness

NORMALIZATIONS = (_BatchNorm, torch.nn.LayerNorm, torch.nn.GroupNorm)


@options
class ParameterShift:
    """How much smaller the shift of channels is that leads to a class than those of the others."""

    rounds: int = option(50, "rounds of one step on every batch", unit="rounds", ge=2)
    rate: float = option(0.2, "learning rate of Adam", gt=0)
    weight: float = option(1e-3, "of the norm, at first", gt=0)
    factor: float = option(1.5, "by which the weight is raised or lowered after a round", gt=1)
    success: float = option(0.95, "share of inputs that a shift has to lead", gt=0, le=1)
    examples: int = option(100, "trusted inputs at the most", unit="examples", ge=2)
    batch: int = option(100, "inputs in one step", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Layers and logits."""
        return frozenset({Layers, Logits})

    @property
    def needs_examples(self) -> bool:
        """Inputs to lead astray."""
        return True

    def scan(
        self, task: Task, trusted: ObservedExamples | None, *, seed: int, progress: Progress
    ) -> Scan:
        """See `anomech.roles.scanner.Scanner`.

        Raises:
            DataError: no trusted examples.
            CapabilityError: no channel has a bias.
        """
        some = drawn("parameter_shift", trusted, self.examples, self.batch, seed)
        biases = scaled_biases(task)

        def search(target: Tensor) -> _Found:
            return self._search(task, some, biases, target)

        found = each_class(able(task, Logits).classes, search, progress)
        norms = torch.tensor([each.norm for each in found.values()], dtype=torch.float64)
        lost = sum(not each.worked for each in found.values())
        problems = few_classes(len(found))
        if lost > len(found) / 2:
            problems = (
                f"no shift was found for {lost} of {len(found)} classes; allow more rounds.",
                *problems,
            )
        return Scan(
            groups=torch.tensor(list(found)),
            statistic=smallness(norms),
            candidates={},
            health=Health(problems),
            evaluations=3.0 * self.rounds * some.searched * len(found),
            facts={"median norm": float(norms.median()), "smallest norm": float(norms.min())},
        )

    def _search(
        self, task: Task, some: Drawn, biases: Mapping[str, "Bias"], target: Tensor
    ) -> "_Found":
        """The smallest shift found that works; the last one tried, if none did."""
        free = {name: torch.zeros_like(each.value) for name, each in biases.items()}
        for each in free.values():
            each.requires_grad_()
        optimizer = torch.optim.Adam(free.values(), lr=self.rate)
        weight, best = self.weight, float("inf")
        for _ in range(self.rounds):
            led = total = 0
            norm = float(sum(each.detach().abs().sum() for each in free.values()))
            for batch, own in zip(some.batches, some.answers, strict=True):
                others = own != target
                if not bool(others.any()):
                    continue
                with torch.enable_grad():
                    response = task.respond(
                        {n: b.value + b.scale * free[n] for n, b in biases.items()},
                        batch,
                        target.to(own).expand(len(own)),
                    )
                    size = torch.stack([each.abs().sum() for each in free.values()]).sum()
                    loss = response.losses[others.to(response.losses.device)].mean()
                    slopes = torch.autograd.grad(
                        loss + weight * size, list(free.values()), allow_unused=True
                    )
                for each, slope in zip(free.values(), slopes, strict=True):
                    each.grad = slope
                optimizer.step()
                led += int((response.log_odds.detach().cpu() > 0)[others].sum())
                total += int(others.sum())
            works = led >= self.success * total
            best = min(best, norm) if works else best
            weight = weight * self.factor if works else weight / self.factor
        worked = best < float("inf")
        return _Found(best if worked else norm, worked)


class Bias(NamedTuple):
    """A layer's biases `[channels]`, and what one unit of their shift is."""

    value: Tensor
    scale: float


class _Found(NamedTuple):
    norm: float
    worked: bool


def scaled_biases(task: Task) -> dict[str, Bias]:
    """Biases of normalizations, or of all layers but the last if there are none, by name.

    A normalization gives its channels a spread of their weight, which is the unit of a shift; a
    layer without gives about the length of its weight's rows.

    Raises:
        CapabilityError: there is none.
    """
    modules = {name: each for name, each in able(task, Layers).layers().items() if name}
    normal = [name for name, each in modules.items() if isinstance(each, NORMALIZATIONS)]
    found = {}
    for name in normal or list(modules)[:-1]:
        module = modules[name]
        bias, weight = getattr(module, "bias", None), getattr(module, "weight", None)
        if isinstance(bias, Tensor) and isinstance(weight, Tensor):
            lengths = weight.detach().flatten(1).norm(dim=1) if weight.ndim > 1 else weight.detach()
            found[f"{name}.bias"] = Bias(bias.detach(), float(lengths.abs().mean()))
    if not found:
        raise CapabilityError(
            f"no channel of this {task.kind} has a bias that could be shifted; use another scanner."
        )
    return found
