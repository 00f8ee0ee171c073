"""The response of the last layer alone, in closed form: the fast mode.

Belief: most of what tells mechanisms apart arrives at the last layer.
Equation: for logits `z = W a + b` and the answer y, the gradient of the log-odds by W and b is
`(e_y - q) [a, 1]'`, with q the softmax over the other classes. It is the gradient tracer's last
part, read off the forward pass that gives the answers.
Source: section 4.8 of the small-perturbation limit, see `gradient`.
Needs: logits and features; a linear layer must turn the features into the logits, which is checked.
Cost: none beyond the forward pass.
Fails when: the mechanism differs in earlier layers only, for it then looks like what the last
layer sees: features near trusted ones. It is a detector of features and shares their weakness
against an attacker who trained the features to look honest.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import CapabilityError
from anomech.kernel.task import Ability, Features, Layers, Logits, Task, able
from anomech.kernel.tracer import Health, Traces
from anomech.kernel.types import Examples, Progress, Response
from anomech.observing.joining import joined, passes
from anomech.tracing._projection import Sides, sides, width

PART = "last layer"
PROBES = 8


@options
class LastLayer:
    """Last layer tracer."""

    features: int = option(256, "numbers kept of the layer's gradient; 0 is exact", ge=0)

    @property
    def universal(self) -> Literal[True]:
        """Its directions are drawn for the model; no example has a say in them."""
        return True

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task."""
        return frozenset({Logits, Features, Layers})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "LastLayerSource":
        """Fix the projection, and check that a linear layer gives the logits.

        Raises:
            CapabilityError: no watched linear layer turns the features into the logits.
        """
        layered = able(task, Layers)
        with torch.no_grad():
            seen = layered.precise().respond({}, trusted.load(np.arange(min(PROBES, len(trusted)))))
        assert seen.logits is not None
        assert seen.features is not None
        if not any(_gives(matrix, seen) for matrix in task.watched.values()):
            raise CapabilityError(
                "the last-layer tracer needs a watched linear layer that turns the features into "
                "the logits, and this model has none; use the gradient tracer."
            )
        shape = (seen.logits.shape[1], seen.features.shape[1] + 1)
        projection = sides("last layer", shape, self.features, seed=seed)
        return LastLayerSource(task, projection, shape)


def _gives(matrix: Tensor, seen: Response) -> bool:
    """Whether a parameter turns the features into the logits, up to a scale and their constants.

    The closed form needs no more: a bias does not enter it, and a scale is the same for all.
    """
    assert seen.logits is not None
    assert seen.features is not None
    if matrix.ndim < 2 or len(seen.logits) < 2:
        return False
    features, logits = seen.features.double(), seen.logits.double()
    for weight in (matrix.flatten(1), matrix.flatten(1).T):
        if weight.shape == (logits.shape[1], features.shape[1]):
            found = _centered(features @ weight.to(features).T)
        elif weight.shape == (1, features.shape[1]) and logits.shape[1] == 2:
            one = features @ weight.to(features).T  # the logits 0 and x of a single output
            found = _centered(torch.cat([torch.zeros_like(one), one], dim=1))
        else:
            continue
        wanted = _centered(logits)
        scale = (found * wanted).sum() / found.square().sum().clamp_min(1e-30)
        if bool((wanted - scale * found).abs().max() <= 1e-3 * wanted.abs().max()) and scale > 0:
            return True
    return False


def _centered(values: Tensor) -> Tensor:
    values = values - values.mean(dim=1, keepdim=True)
    return values - values.mean(dim=0)


@dataclass(frozen=True)
class LastLayerSource:
    """A fixed projection of the last layer's gradient, for any examples.

    Attributes:
        task: the model.
        sides: the projection.
        shape: classes, and features with the constant one of the bias.
    """

    task: Task
    sides: Sides
    shape: tuple[int, int]
    health: Health = Health()
    evaluations: float = 1.0

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, features]` in the order of the examples."""
        if not len(examples):
            empty = torch.zeros(0, width(self.shape, self.sides))
            return Traces(empty, {PART: slice(0, empty.shape[1])})
        return self.read(self._respond(examples, answers, progress))

    def answer(self, examples: Examples, progress: Progress) -> Traces:
        """Traces of the model's own answers, and the response."""
        return self.read(self._respond(examples, None, progress))

    def read(self, response: Response) -> Traces:
        """Traces of the examples with these responses; no pass is needed."""
        assert response.logits is not None
        assert response.features is not None
        answers = response.answers.to(response.logits.device)
        mine = functional.one_hot(answers, self.shape[0]).to(torch.float32)
        others = response.logits.float().masked_fill(mine.bool(), -torch.inf).softmax(dim=1)
        left, right = mine - others, functional.pad(response.features.float(), (0, 1), value=1.0)
        if self.sides.rows is not None:
            left = left @ self.sides.rows
        if self.sides.columns is not None:
            right = right @ self.sides.columns
        values = torch.einsum("br,bc->brc", left, right).flatten(1)
        return Traces(values, {PART: slice(0, values.shape[1])}, response=response)

    @torch.no_grad()
    def _respond(self, examples: Examples, answers: Tensor | None, progress: Progress) -> Response:
        found, seen = [], []
        for places, own in passes(self.task, examples, answers, "tracing", progress):
            found.append(self.task.respond({}, examples.load(places), own))
            seen.append(places)
        return joined(found, seen)
