"""What passes between the layers, in the form of a trace: what density detectors look at.

Belief: honest inputs with the same answer leave the network in like states. This is no movement of
parameters: it is the other half of a gradient, the activation without the backward signal, kept
so that whatever compares responses can compare states too.
Equation: activations at up to `most` places spread over the depth, each averaged over positions, or
in sequences that of the position where the answer is decided, `[units]`; wider ones are projected
to `width` numbers by a random matrix of orthonormal columns, which places of one width share, so
that their differences stay differences.
Source: the activations that the detectors of cupbearer (ejnnr/cupbearer) and of Bailey et al.
(2024) are given, with the mean in place of one token.
Needs: activations.
Cost: one forward pass, which answers too.
Fails when: whoever trained the network made the states of triggered inputs look honest.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import torch
from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError, ConfigError
from anomech.kernel.randomness import torch_generator
from anomech.kernel.types import Examples, Progress, Response
from anomech.observing.activations import decisions, pooled, read
from anomech.observing.joining import in_place, joined, passes
from anomech.roles.sequences import Sequences
from anomech.roles.task import Ability, Activations, Logits, Pathways, Task, able
from anomech.roles.tracer import Health, Traces

WIDTH = 256
"""Numbers that are kept of a place by default."""

PROBES = 3
"""Examples that show which places there are."""


@options
class States:
    """Activations between layers, by place."""

    places: str = option("*", "glob of the names of places, such as 'layer3.*'")
    most: int = option(8, "places at the most, spread over the depth", unit="places", ge=1)
    width: int = option(WIDTH, "numbers kept of a place; 0 keeps all", ge=0)

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task."""
        return frozenset({Activations})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "StateSource":
        """Choose the places, and draw projections where they are wide.

        Places that give no rows of their own for each example, such as those inside of a window of
        attention, are none.

        Raises:
            ConfigError: no place has such a name.
            CapabilityError: none of those that have can be read.
        """
        known = able(task, Activations).points()
        if Sequences in task.provides and self.places == "*":
            known = able(task, Sequences).streams
        names = [name for name in known if fnmatchcase(name, self.places)]
        if known and not names:
            raise ConfigError(f"states.places: no place between the layers is '{self.places}'.")
        few = np.arange(min(PROBES, len(trusted)))
        batch, own = trusted.load(few), answers[: len(few)]
        _, seen = read(task, batch, names, own, lambda activation: activation)
        usable = {name: each for name, each in seen.items() if _one_each(each, len(few))}
        if not usable:
            raise CapabilityError("nothing between the layers of this model can be read.")
        spread = np.linspace(0, len(usable) - 1, min(self.most, len(usable))).round().astype(int)
        chosen = [list(usable)[place] for place in spread]
        units = {name: pooled(usable[name]).shape[1] for name in chosen}
        projections = {
            name: orthonormal(count, self.width, seed)
            for name, count in units.items()
            if 0 < self.width < count
        }
        return StateSource(task, units, projections)


@dataclass(frozen=True)
class StateSource:
    """Fixed places and projections, for any examples.

    Attributes:
        task: the model.
        units: of each place, in the order of the forward pass.
        projections: `[units, kept]` of the places that are projected.
    """

    task: Task
    units: Mapping[str, int]
    projections: Mapping[str, Tensor]
    health: Health = Health()
    evaluations: float = 1.0

    def on_device(self, device: torch.device) -> "StateSource":
        """The same with its projections on this device."""
        moved = {name: each.to(device) for name, each in self.projections.items()}
        return replace(self, projections=moved)

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, features]` in the order of the examples."""
        return self._traces(examples, answers, "reading states", progress)

    def answer(self, examples: Examples, progress: Progress) -> Traces:
        """Traces of the model's own answers, and the response; from the same passes if they can be.

        What is generated takes passes of its own, of which none sees all of the answer.
        """
        if Logits in self.task.provides:
            return self._traces(examples, None, "observing", progress)
        found, seen = list[Response](), list[np.ndarray]()
        for places, _ in passes(self.task, examples, None, "observing", progress):
            found.append(self.task.respond({}, examples.load(places), None))
            seen.append(places)
        response = joined(found, seen)
        return replace(self(examples, response.answers, progress), response=response)

    def follow(self, points: Tensor, batch: Any) -> Traces:
        """Traces of the model's own answers at points near pictures `[batch, ...]`.

        Raises:
            CapabilityError: what passes between its layers cannot be followed back to inputs, or
                examples are sequences.
        """
        through = able(self.task, Pathways)
        if Sequences in self.task.provides:
            raise CapabilityError("states of sequences are not followed back to tokens.")
        seen: dict[str, Tensor] = {}

        def reader(name: str) -> Callable[[Tensor], Tensor]:
            def looked_at(activation: Tensor) -> Tensor:
                seen[name] = pooled(activation).float()
                return activation

            return looked_at

        changes = {name: reader(name) for name in self.units}
        response = through.respond_through({}, points, batch, changes)
        return Traces(self._columns(seen), self._blocks(), response=response)

    def _blocks(self) -> dict[str, slice]:
        """Where each place stands among the features."""
        blocks, start = dict[str, slice](), 0
        for name, count in self.units.items():
            width = self.projections[name].shape[1] if name in self.projections else count
            blocks[name] = slice(start, start := start + width)
        return blocks

    def _columns(self, seen: Mapping[str, Tensor]) -> Tensor:
        """What is kept of all places, float32 `[batch, features]`, on the CPU."""
        columns = [
            seen[name] @ self.projections[name].to(seen[name].device)
            if name in self.projections
            else seen[name]
            for name in self.units
        ]
        return torch.cat([each.cpu() for each in columns], dim=1)

    def _traces(
        self, examples: Examples, answers: Tensor | None, stage: str, progress: Progress
    ) -> Traces:
        blocks = self._blocks()
        rows, responses, seen = list[Tensor](), list[Response](), list[np.ndarray]()
        for places, given in passes(self.task, examples, answers, stage, progress):
            response, states = self._read(examples.load(places), given)
            rows.append(states)
            responses.append(response)
            seen.append(places)
        if not rows:
            empty = torch.zeros(0, max((part.stop for part in blocks.values()), default=0))
            return Traces(empty, blocks)
        values = in_place(zip(seen, rows, strict=True), len(examples))
        return Traces(values, blocks, response=joined(responses, seen))

    def _read(self, batch: object, answers: Tensor | None) -> tuple[Response, Tensor]:
        """Response and states of one pass, float32 `[batch, features]`, on the CPU."""
        at = decisions(self.task, batch, answers)

        def keep(activation: Tensor) -> Tensor:
            # In sequences places differ in which positions they hold, so they are cut here too.
            return pooled(activation, at).float()

        response, seen = read(self.task, batch, list(self.units), answers, keep)
        return response, self._columns(seen)


def _one_each(activation: Tensor, examples: int) -> bool:
    """Whether there is something of each example to average."""
    whole = activation.ndim >= 2 and len(activation) == examples
    return whole and activation.is_floating_point() and bool(activation.isfinite().all())


def orthonormal(units: int, kept: int, seed: int) -> Tensor:
    """A random matrix `[units, kept]` with orthonormal columns; places of one width share it."""
    drawn = torch.randn(units, kept, generator=torch_generator(seed, "states", units))
    return torch.linalg.qr(drawn).Q
