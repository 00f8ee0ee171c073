"""The response of an example as the gradient of the log-odds of its own answer.

Belief: two examples that use the same mechanism pull the parameters the same way.
Equation: `phi(x) = grad_theta log(p_y / (1 - p_y))`, y the model's own answer. To first order the
covariance of losses under Gaussian draws of the parameters with covariance S is
`(1 - p_i)(1 - p_j) phi_i' S phi_j`, so the cosine of gradients is what thousands of draws estimate.
Source: the small-perturbation limit of Lyons Keenan, Leckie, Erfani (2026); log-odds after TRAK
(Park et al. 2023): cross-entropy has the same direction but underflows where the model is sure.
Needs: layers. Each parameter's gradient is projected on both sides before the outer product is
formed; small matrices are exact, and `features = 0` keeps everything exactly (small models only).
A parameter that no layer rule covers, or whose rule disagrees with automatic differentiation on
trusted examples, is traced by one backward pass an example, and named.
Cost: one forward and one backward pass over activations.
Fails when: the anomaly leaves the direction of the response as it is and only its size changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from anomech.config import option, options
from anomech.errors import CapabilityError
from anomech.tracing._layers import RULES
from anomech.tracing._parts import joined, parts_of, slices
from anomech.tracing._projection import Sides, sides
from anomech.types import Examples, Health, LayeredTask, Progress, Task, Traces

PROBES = 2
TOLERANCE = 1e-3


@options
class Gradient:
    """Gradient tracer."""

    features: int = option(256, "numbers kept of each weight's gradient; 0 is exact", ge=0)
    parts: int = option(4, "parts of the network that are compared separately", ge=1)
    batch: int = option(256, "examples in one pass", unit="examples", ge=1)

    @property
    def needs(self) -> frozenset[str]:
        """Abilities asked of the task."""
        return frozenset({"layers"})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "GradientSource":
        """Fix the projections and check every layer rule against automatic differentiation."""
        if not isinstance(task, LayeredTask):
            raise CapabilityError("the gradient tracer needs a task that shows its layers.")
        chosen = {
            name: _sides_of(name, tensor, self.features, seed)
            for name, tensor in task.watched.items()
        }
        source = GradientSource(
            task, chosen, _owners(task), parts_of(task.watched, self.parts), self.batch
        )
        probe = np.arange(min(PROBES, len(trusted)))
        return source.checked(
            trusted.load(probe),
            [trusted.load(probe[i : i + 1]) for i in probe],
            answers[: len(probe)],
        )


@dataclass(frozen=True)
class GradientSource:
    """A fixed set of projections, for any examples.

    Attributes:
        task: whose log-odds are differentiated.
        sides: the projection of each watched parameter.
        owners: for each module with a rule, its local parameter names and their watched names.
        parts: watched names by part.
        batch: examples in one pass.
        looped: watched names that are traced one example at a time.
    """

    task: Task
    sides: Mapping[str, Sides]
    owners: Mapping[str, Mapping[str, str]]
    parts: Mapping[str, Sequence[str]]
    batch: int
    looped: tuple[str, ...] = ()

    @property
    def health(self) -> Health:
        """Gradients are exact or unbiased; there is nothing to mix."""
        return Health(facts={"parameters traced one example at a time": float(len(self.looped))})

    @property
    def evaluations(self) -> float:
        """One forward pass and one backward pass counted as two."""
        return 3.0 if not self.looped else 6.0

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, features]` in the order of the examples."""
        rows = []
        for start in range(0, len(examples), self.batch):
            stop = min(start + self.batch, len(examples))
            indices = np.arange(start, stop)
            features = self._batch(examples.load(indices), answers[start:stop])
            if self.looped:
                singles = [examples.load(indices[i : i + 1]) for i in range(len(indices))]
                features |= self._loop(singles, answers[start:stop], self.looped)
            rows.append(joined(features, self.parts).cpu())
            progress("tracing", stop, len(examples))
        widths = {name: _width(self.task.watched[name], self.sides[name]) for name in self.sides}
        values = torch.cat(rows) if rows else torch.zeros(0, sum(widths.values()))
        return Traces(values, slices(widths, self.parts))

    def checked(self, batch: Any, singles: list[Any], answers: Tensor) -> "GradientSource":
        """This source with every parameter looped whose rule fails on the probe examples."""
        every = tuple(self.task.watched)
        truth = self._loop(singles, answers, every)
        found = self._batch(batch, answers)
        wrong = tuple(name for name in every if not _agree(found.get(name), truth[name]))
        return replace(self, looped=wrong)

    def _batch(self, batch: Any, answers: Tensor) -> dict[str, Tensor]:
        """Features by parameter of all that have a rule, `[batch, ...]`."""
        features: dict[str, Tensor] = {}
        leaves: list[Tensor] = []
        layers = self.task.layers()  # type: ignore[attr-defined]
        handles = [
            layers[name].register_forward_hook(
                partial(self._watch, features, leaves, self.owners[name])
            )
            for name in self.owners
        ]
        try:
            with torch.enable_grad():
                total = self.task.respond({}, batch, answers).log_odds.sum()
                if leaves:
                    torch.autograd.grad(total, leaves, allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        count = len(answers)
        for name in self.sides:
            if name not in features and name not in self.looped:
                width = _width(self.task.watched[name], self.sides[name])
                features[name] = torch.zeros(count, width, device=answers.device)
        return features

    def _watch(
        self,
        features: dict[str, Tensor],
        leaves: list[Tensor],
        owned: Mapping[str, str],
        module: nn.Module,
        inputs: tuple[Tensor, ...],
        output: Tensor,
    ) -> Tensor:
        """Forward hook: keep the projected input, and wait for the output's gradient."""
        if not output.requires_grad:
            # The first watched layer starts the graph: below it nothing needs a gradient.
            leaf = output.detach().requires_grad_()
            leaves.append(leaf)
            output = leaf.clone()
        matrix = self.sides[owned["weight"]] if "weight" in owned else Sides(None, None)
        gradients = _rule(module)(module, inputs[0].detach(), matrix)

        def receive(grad: Tensor) -> None:
            for local, gradient in gradients(grad.detach()).items():
                if (name := owned.get(local)) is not None:
                    if gradient.ndim == 2:
                        gradient = _project_vector(gradient, self.sides[name])
                    features[name] = features[name] + gradient if name in features else gradient

        output.register_hook(receive)
        return output

    def _loop(self, singles: list[Any], answers: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Features by parameter from one backward pass an example."""
        rows: dict[str, list[Tensor]] = {name: [] for name in names}
        for index, single in enumerate(singles):
            overlay = {n: self.task.watched[n].detach().requires_grad_() for n in names}
            with torch.enable_grad():
                value = self.task.respond(overlay, single, answers[index : index + 1]).log_odds
            grads = torch.autograd.grad(value.sum(), list(overlay.values()), allow_unused=True)
            for name, grad in zip(names, grads, strict=True):
                full = torch.zeros_like(self.task.watched[name]) if grad is None else grad
                rows[name].append(_project(full, self.sides[name]))
        return {name: torch.stack(each) for name, each in rows.items()}


def _owners(task: LayeredTask) -> dict[str, dict[str, str]]:
    """Modules that have a rule, with their parameters' watched names; tied tensors share one."""
    watched = {tensor.data_ptr(): name for name, tensor in task.watched.items()}  # type: ignore[attr-defined]
    owners: dict[str, dict[str, str]] = {}
    for name, module in task.layers().items():
        if _rule(module) is not None:
            owners[name] = {
                local: watched[tensor.data_ptr()]
                for local, tensor in module.named_parameters(recurse=False)
                if tensor.data_ptr() in watched
            }
    return owners


def _rule(module: nn.Module) -> Any:
    return next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)


def _sides_of(name: str, tensor: Tensor, features: int, seed: int) -> Sides:
    rows = tensor.shape[0] if tensor.ndim else 1
    columns = tensor[0].numel() if tensor.ndim > 1 else 1
    return sides(name, rows, columns, features, seed=seed, device=tensor.device)


def _width(tensor: Tensor, pair: Sides) -> int:
    rows = tensor.shape[0] if tensor.ndim else 1
    columns = tensor[0].numel() if tensor.ndim > 1 else 1
    rows = rows if pair.rows is None else pair.rows.shape[1]
    return rows * (columns if pair.columns is None else pair.columns.shape[1])


def _project_vector(gradient: Tensor, pair: Sides) -> Tensor:
    """`[batch, entries]` by the row side."""
    return gradient if pair.rows is None else gradient @ pair.rows


def _project(gradient: Tensor, pair: Sides) -> Tensor:
    """One full gradient of any shape to `[kept rows * kept columns]`."""
    matrix = gradient.reshape(gradient.shape[0] if gradient.ndim else 1, -1)
    if pair.rows is not None:
        matrix = pair.rows.T @ matrix
    if pair.columns is not None:
        matrix = matrix @ pair.columns
    return matrix.flatten()


def _agree(found: Tensor | None, truth: Tensor) -> bool:
    if found is None:
        return not bool(truth.any())
    scale = truth.abs().max().clamp_min(1e-6)
    return bool((found.flatten(1) - truth).abs().max() <= TOLERANCE * scale)
