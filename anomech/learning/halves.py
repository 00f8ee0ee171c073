"""A network in two: what makes a map of features, and what reads the map.

Scanners that look for a mechanism inside the network silence parts of its last map of features, or
compare maps. Where that map is shows when the network is run: it is the last thing any module gives
that has places besides channels, such as `[batch, channels, h, w]`, or tokens; a network without
such maps is cut before its last layer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import Overlay, Response
from anomech.roles.task import Ability, DifferentiableInputs, Layers, Pathways, Task, able

NEEDS: frozenset[Ability] = frozenset({DifferentiableInputs, Pathways, Layers})
"""What cutting a network asks of a task."""


@dataclass(frozen=True)
class Halves:
    """A task whose network is cut behind one of its modules.

    Attributes:
        task: with differentiable inputs and pathways.
        place: name of the module that gives the map.
        shape: of one example's map.
    """

    task: Task
    place: str
    shape: tuple[int, ...]

    def seen(
        self, points: Tensor, batch: Any, answers: Tensor | None, overlay: Overlay | None = None
    ) -> tuple[Response, Tensor]:
        """The response to points, and the map `[batch, *shape]` on the way; both differentiable."""
        caught: list[Tensor] = []

        def catch(value: Tensor) -> Tensor:
            caught.append(value)
            return value

        through = able(self.task, Pathways)
        response = through.respond_through(
            overlay or {}, points, batch, {self.place: catch}, answers
        )
        return response, caught[-1]

    def read(
        self,
        points: Tensor,
        batch: Any,
        change: Callable[[Tensor], Tensor],
        answers: Tensor | None = None,
        overlay: Overlay | None = None,
    ) -> Response:
        """The response when the map is changed before it is read."""
        through = able(self.task, Pathways)
        return through.respond_through(overlay or {}, points, batch, {self.place: change}, answers)


@torch.no_grad()
def halves(task: Task, batch: Any) -> Halves:
    """Where a task's network gives its last map, found by running it once.

    Args:
        task: see `NEEDS`.
        batch: at least two inputs.

    Raises:
        CapabilityError: no module gives numbers for each input.
    """
    space, network = able(task, DifferentiableInputs), able(task, Layers).layers()[""]
    points, given = space.embed(batch), dict[str, tuple[int, ...]]()
    names = [name for name, _ in network.named_modules() if name]

    def look(name: str) -> Callable[[Tensor], Tensor]:
        def seen(value: Tensor) -> Tensor:
            if isinstance(value, Tensor) and value.ndim > 1 and len(value) == len(points):
                given.pop(name, None)  # a module that is called again counts by its last call
                given[name] = tuple(value.shape[1:])
            return value

        return seen

    through = able(task, Pathways)
    response = through.respond_through({}, points, batch, {name: look(name) for name in names})
    outputs = None if response.logits is None else response.logits.shape[1:]
    place = _last_map(list(given.items()), outputs)
    if place is None:
        raise CapabilityError(
            f"no layer of this {task.kind} gives features of each input, so it cannot be cut in "
            "two; use a scanner that only looks at inputs."
        )
    return Halves(task, place, given[place])


def _last_map(
    given: Sequence[tuple[str, tuple[int, ...]]], outputs: tuple[int, ...] | None
) -> str | None:
    """The last module that gives a map, else the last that gives other numbers than the outputs."""
    maps = [name for name, shape in given if len(shape) > 1 and shape[1:] != (1,) * len(shape[1:])]
    rows = [name for name, shape in given if len(shape) == 1 and shape != outputs]
    # A head that gives the outputs may be wrapped in modules whose output is the same.
    return maps[-1] if maps else rows[-1] if rows else None


def pooled(maps: Tensor) -> Tensor:
    """One row of features an example `[batch, channels]`: a map's mean over its places."""
    if maps.ndim == 4:
        return maps.mean(dim=(2, 3))
    return maps.mean(dim=1) if maps.ndim == 3 else maps.flatten(1)
