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
trusted examples, is traced by one backward pass an example, and counted.
Cost: one forward and one backward pass over activations.
Fails when: the anomaly leaves the direction of the response as it is and only its size changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

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
        source = GradientSource(task, chosen, _owners(task), parts_of(task.watched, self.parts))
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
        looped: watched names that are traced one example at a time.
    """

    task: Task
    sides: Mapping[str, Sides]
    owners: Mapping[str, Mapping[str, str]]
    parts: Mapping[str, Sequence[str]]
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
        widths = {name: _width(self.task.watched[name], self.sides[name]) for name in self.sides}
        rows = []
        for start in range(0, len(examples), self.task.batch):
            stop = min(start + self.task.batch, len(examples))
            indices, own = np.arange(start, stop), answers[start:stop]
            features, missed = self._batch(examples.load(indices), own)
            if names := (*self.looped, *missed):
                singles = [examples.load(indices[i : i + 1]) for i in range(len(indices))]
                features |= self._loop(singles, own, names)
            for name, width in widths.items():
                if name not in features:  # no answer of this batch depends on it
                    device = self.task.watched[name].device
                    features[name] = torch.zeros(len(own), width, device=device)
            rows.append(joined(features, self.parts).cpu())
            progress("tracing", stop, len(examples))
        values = torch.cat(rows) if rows else torch.zeros(0, sum(widths.values()))
        return Traces(values, slices(widths, self.parts))

    def checked(self, batch: Any, singles: list[Any], answers: Tensor) -> "GradientSource":
        """The same source, with every parameter looped whose rule fails on the probe examples."""
        every = tuple(self.task.watched)
        truth = self._loop(singles, answers, every)
        found, _ = self._batch(batch, answers)
        wrong = tuple(
            name
            for name in every
            if not _agree(found.get(name), truth.get(name), _tolerance(self.task.watched[name]))
        )
        owners = {
            module: {local: name for local, name in owned.items() if name not in wrong}
            for module, owned in self.owners.items()
        }
        kept = {module: owned for module, owned in owners.items() if owned}
        return replace(self, looped=wrong, owners=kept)

    def _batch(self, batch: Any, answers: Tensor) -> tuple[dict[str, Tensor], list[str]]:
        """Features by parameter `[batch, ...]` as far as rules give them, and the missed names."""
        if not self.owners:
            return {}, []
        seen = _Pass(len(answers))
        layers = self.task.layers()  # type: ignore[attr-defined]
        handles = [
            layers[name].register_forward_hook(partial(self._watch, seen, self.owners[name]))
            for name in self.owners
        ]
        try:
            with torch.enable_grad():
                total = self.task.respond({}, batch, answers).log_odds.sum()
                if seen.leaves:
                    torch.autograd.grad(total, seen.leaves, allow_unused=True)
        finally:
            for handle in handles:
                handle.remove()
        features = {n: each for n, each in seen.features.items() if n not in seen.missed}
        return features, sorted(seen.missed)

    def _watch(
        self,
        seen: "_Pass",
        owned: Mapping[str, str],
        module: nn.Module,
        inputs: tuple[Any, ...],
        output: Any,
    ) -> Any:
        """Forward hook: keep the projected input, and wait for the output's gradient."""
        if not (inputs and _has_rows(inputs[0], seen.count) and _has_rows(output, seen.count)):
            # Such as positions that all examples share: nothing here belongs to one example.
            seen.missed |= set(owned.values())
            return output
        if not output.requires_grad:
            # The first watched layer starts the graph: below it nothing needs a gradient.
            leaf = output.detach().requires_grad_()
            seen.leaves.append(leaf)
            output = leaf.clone()
        matrix = self.sides[owned["weight"]] if "weight" in owned else Sides(None, None)
        values = inputs[0].detach()
        gradients = _rule(module)(
            module, values.float() if values.is_floating_point() else values, matrix
        )
        features = seen.features

        def receive(grad: Tensor) -> None:
            for local, gradient in gradients(grad.detach().float()).items():
                if (name := owned.get(local)) is not None:
                    if gradient.ndim == 2:
                        gradient = _project_vector(gradient, self.sides[name])
                    features[name] = features[name] + gradient if name in features else gradient

        output.register_hook(receive)
        return output

    def _loop(self, singles: list[Any], answers: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """Features by parameter that answers depend on, from one backward pass an example."""
        rows: dict[str, list[Tensor]] = {name: [] for name in names}
        used: set[str] = set()
        for index, single in enumerate(singles):
            overlay = {n: self.task.watched[n].detach().requires_grad_() for n in names}
            with torch.enable_grad():
                value = self.task.respond(overlay, single, answers[index : index + 1]).log_odds
            grads: Sequence[Tensor | None] = [None] * len(names)
            if value.requires_grad:
                grads = torch.autograd.grad(value.sum(), list(overlay.values()), allow_unused=True)
            for name, grad in zip(names, grads, strict=True):
                used |= set() if grad is None else {name}
                full = torch.zeros_like(self.task.watched[name]) if grad is None else grad
                rows[name].append(_project(full.float(), self.sides[name]))
        return {name: torch.stack(each) for name, each in rows.items() if name in used}


@dataclass
class _Pass:
    """What hooks gather in one pass over a batch.

    Attributes:
        count: examples in the batch.
        features: by watched name.
        leaves: where the graph starts.
        missed: watched names of which some use has no row for each example.
    """

    count: int
    features: dict[str, Tensor] = field(default_factory=dict)
    leaves: list[Tensor] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)


def _has_rows(values: Any, count: int) -> bool:
    return isinstance(values, Tensor) and values.shape[:1] == (count,)


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
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        return None  # it mixes the examples of a batch
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


def _agree(found: Tensor | None, truth: Tensor | None, tolerance: float) -> bool:
    if found is None or truth is None:
        return found is truth
    scale = truth.abs().max().clamp_min(1e-6)
    return bool((found.flatten(1) - truth).abs().max() <= tolerance * scale)


def _tolerance(tensor: Tensor) -> float:
    return max(TOLERANCE, 16 * torch.finfo(tensor.dtype).eps)  # 1e-3 for float32
