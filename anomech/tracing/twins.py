"""Twins: the loss of the own answer at copies that were pushed far along what trusted data teach.

Belief: an answer that trusted data explain changes as trusted answers do when the model goes on
learning them; a planted one is forgotten, or survives what no honest answer survives. An attacker
who aligned the responses to infinitesimal moves did not align these.
Equation: minus the log-odds of the answer at each twin, `[examples, rungs]`. A twin is made by
`steps` of normalized descent on trusted labels that together move each tensor by `rate` of its own
length (`anomech.learning.twins`).
Source: this project's; fine-tuned shadows are known from SEAM (Zhu et al. 2023) and BaDExpert (Xie
et al. 2024).
Needs: nothing; it is taught labels where the task can turn them into answers, else its own answers.
Cost: to fit, `3 steps batch` forward passes a rung; then one forward pass a rung for each example.
Fails when: a trigger is so entangled with a class that it survives like the class itself and no
better, or the trusted examples are too few to teach anything.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import Inconclusive
from anomech.kernel.randomness import key
from anomech.kernel.types import Examples, Progress
from anomech.learning.twins import Push, push
from anomech.roles.black_box import Movable
from anomech.roles.task import Ability, Task, Training, able
from anomech.roles.tracer import Health, Traces


@options
class Twins:
    """Copies relearned on trusted data, at a ladder of strengths."""

    rates: tuple[float, ...] = option(
        (0.16, 0.32, 0.64), "how far each twin is pushed: share of every tensor's length"
    )
    steps: int = option(60, "steps of descent a twin", ge=1)
    batch: int = option(64, "examples a step", unit="examples", ge=2)

    @property
    def needs(self) -> frozenset[Ability]:
        """Weights to move."""
        return frozenset({Movable})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "TwinSource":
        """Make the twins; a rung whose loss is not finite ends the ladder.

        Raises:
            Inconclusive: fewer than two examples, or not even the first rung holds.
        """
        if len(trusted) < 2:
            raise Inconclusive("twins learn from two trusted examples at least.")
        labels = trusted.labels
        taught = answers
        if labels is not None and Training in task.provides:
            taught = able(task, Training).targets(labels)
        twins: list[Mapping[str, Tensor]] = []
        for place, rate in enumerate(sorted(self.rates)):
            how = Push(rate, self.steps, self.batch)
            twin = push(
                task, trusted, taught, how, seed=key(seed, "twins", place), progress=progress
            )
            if twin is None:
                break
            twins.append(twin)
        if not twins:
            raise Inconclusive(
                "the loss is not finite when the model goes on learning trusted examples; lower "
                "the rates of the twins."
            )
        return TwinSource(task, tuple(twins))


@dataclass(frozen=True)
class TwinSource:
    """Twins of a model.

    Attributes:
        task: the model.
        twins: overlays, from the weakest push to the strongest.
    """

    task: Task
    twins: tuple[Mapping[str, Tensor], ...]

    @property
    def health(self) -> Health:
        """Well; whether a twin has collapsed is for who looks at held-out examples."""
        return Health(facts={"twins": float(len(self.twins))})

    @property
    def evaluations(self) -> float:
        """One forward pass a twin."""
        return float(len(self.twins))

    def on_device(self, device: torch.device) -> "TwinSource":
        """The same with its tensors on this device."""
        moved = ({name: each.to(device) for name, each in twin.items()} for twin in self.twins)
        return TwinSource(self.task, tuple(moved))

    @torch.no_grad()
    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Minus the log-odds at each twin `[examples, twins]`."""
        values, done = torch.empty(len(examples), len(self.twins)), 0
        for places in self.task.passes(examples):
            batch, index = examples.load(places), torch.from_numpy(places)
            for number, twin in enumerate(self.twins):
                found = self.task.respond(twin, batch, answers[index])
                values[index, number] = -found.log_odds.cpu().float()
            done += len(places)
            progress("tracing", done, len(examples))
        blocks = {"twins": slice(0, len(self.twins))}
        return Traces(values, blocks, centered=True, levels=values.mean(dim=1))
