"""The response of an example as the gradient of the log-odds of its own answer.

Belief: two examples that use the same mechanism pull the parameters the same way.
Equation: `phi(x) = grad_theta log(p_y / (1 - p_y))`, y the model's own answer. To first order the
covariance of losses under Gaussian draws of the parameters with covariance S is
`(1 - p_i)(1 - p_j) phi_i' S phi_j`, so the cosine of gradients is what thousands of draws estimate.
Source: the small-perturbation limit of Lyons Keenan, Leckie, Erfani (2026); log-odds after TRAK
(Park et al. 2023): cross-entropy has the same direction but underflows where the model is sure.
Needs: layers. Each parameter's gradient is projected on both sides before the outer product is
formed; small matrices are exact, and `features = 0` keeps everything exactly (small models only).
Layers of known kinds give their part from their input and their output's gradient. Any other module
is repeated example by example under vmap, and what still disagrees with automatic differentiation
on trusted examples is traced by one backward pass an example, and counted.
Cost: one forward and one backward pass over activations; of sequences one forward pass more, and
another where a sequence is so long that its blocks are computed again on the way back.
Fails when: the anomaly leaves the direction of the response as it is and only its size changes.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn

from anomech.kernel.config import option, options
from anomech.kernel.types import Examples, Progress, Response
from anomech.observing.joining import in_place, passes
from anomech.observing.joining import joined as joined_responses
from anomech.roles.sequences import Frugal, Sequences
from anomech.roles.task import Ability, Layers, Task, able
from anomech.roles.tracer import Health, Traces
from anomech.tracing._layers import rule_of
from anomech.tracing._parts import joined, parts_of, slices
from anomech.tracing._passes import Coverage, Names, run
from anomech.tracing._projection import Sides, project, sides, width
from anomech.tracing._reader import Reader, fit_reader, halves_of
from anomech.tracing._reading import Watch

PARTS = 4
PROBES = 2
TOLERANCE = 1e-3
NETWORK = ""
"""Name of the whole network among a task's layers."""


@options
class Gradient:
    """Gradient tracer."""

    features: int = option(256, "numbers kept of each weight's gradient; 0 is exact", ge=0)
    parts: int = option(
        0,
        "parts of the network that are compared separately; 0 is 4, and every module by itself "
        "where inputs are sequences",
        ge=0,
    )

    @property
    def universal(self) -> Literal[True]:
        """Its directions are drawn for the model; no example has a say in them."""
        return True

    @property
    def needs(self) -> frozenset[Ability]:
        """Abilities asked of the task."""
        return frozenset({Layers})

    def fit(
        self, task: Task, trusted: Examples, answers: Tensor, *, seed: int, progress: Progress
    ) -> "GradientSource":
        """Fix the projections and check every layer rule against automatic differentiation."""
        chosen = {
            name: sides(name, tensor.shape, self.features, seed=seed).to(tensor.device)
            for name, tensor in task.watched.items()
        }
        many = len(task.watched) if Sequences in task.provides else PARTS
        source = GradientSource(
            task, chosen, _by_kind(task), parts_of(task.watched, self.parts or many)
        )
        probe = np.arange(min(PROBES, len(trusted)))
        source = source.checked(
            trusted.load(probe),
            [trusted.load(probe[i : i + 1]) for i in probe],
            answers[: len(probe)],
        )
        ruled = source.coverage.ruled
        reader = fit_reader(task, ruled, trusted, answers, seed=seed, progress=progress)
        return replace(source, reader=reader)


@dataclass(frozen=True)
class GradientSource:
    """A fixed set of projections, for any examples.

    Attributes:
        task: whose log-odds are differentiated.
        sides: the projection of each watched parameter.
        coverage: how each watched parameter is traced.
        parts: watched names by part.
        reader: what is looked at along sequences, where inputs are such.
    """

    task: Task
    sides: Mapping[str, Sides]
    coverage: Coverage
    parts: Mapping[str, Sequence[str]]
    reader: Reader | None = None

    def on_device(self, device: torch.device) -> "GradientSource":
        """The same source with its projections where the model is."""
        sides = {name: pair.to(device) for name, pair in self.sides.items()}
        reader = None if self.reader is None else self.reader.on_device(device)
        return replace(self, sides=sides, reader=reader)

    @cached_property
    def widths(self) -> Mapping[str, int]:
        """Numbers kept of each watched parameter."""
        return {n: width(tensor.shape, self.sides[n]) for n, tensor in self.task.watched.items()}

    @property
    def health(self) -> Health:
        """Gradients are exact or unbiased; there is nothing to mix."""
        looped = float(len(self.coverage.looped))
        return Health(facts={"parameters traced one example at a time": looped})

    @property
    def evaluations(self) -> float:
        """One forward pass and one backward pass counted as two; again for what has no rule.

        Where sequences are read, one forward pass without the strangest words comes to it.
        """
        again = (*self.coverage.replayed.get(NETWORK, ()), *self.coverage.looped)
        return (6.0 if again else 3.0) + (self.reader is not None)

    def __call__(self, examples: Examples, answers: Tensor, progress: Progress) -> Traces:
        """Traces `[examples, features]` in the order of the examples."""
        return self._traces(examples, answers, progress)

    def answer(self, examples: Examples, progress: Progress) -> Traces:
        """Traces of the model's own answers, and the response, from the same passes."""
        return self._traces(examples, None, progress)

    def _traces(self, examples: Examples, answers: Tensor | None, progress: Progress) -> Traces:
        values = torch.empty(len(examples), sum(self.widths.values()))
        responses, seen, sights = [], [], []
        half = halves_of(examples.digests()) if self.reader is not None else torch.empty(0)
        for places, own in passes(self.task, examples, answers, "tracing", progress):
            watch = None if self.reader is None else Watch(self.task, self.reader, self.sides)
            response, features = self._pass(examples, places, own, watch)
            index = torch.from_numpy(places)
            values[index] = joined(features, self.parts).cpu()
            responses.append(response)
            seen.append(places)
            if watch is not None:
                sights.append(watch.sights(half[index], examples.load(places), response))
        found = {} if self.reader is None else self.reader.nothing
        if sights:
            found = {
                name: in_place(zip(seen, (e[name] for e in sights), strict=True), len(examples))
                for name in found
            }
        return Traces(
            values,
            slices(self.widths, self.parts),
            response=joined_responses(responses, seen) if responses else None,
            sights=found,
        )

    def _pass(
        self, examples: Examples, places: np.ndarray, answers: Tensor | None, watch: Watch | None
    ) -> tuple[Response, dict[str, Tensor]]:
        task = self.task if watch is None else cast(Task, watch)
        batch, hooks = examples.load(places), ExitStack()
        repeated = self._repeated(batch, answers)
        if watch is not None:
            watch.repeats = bool(repeated)
            hooks.enter_context(watch.watching())
        with hooks:
            response, features, missed = run(
                task, self.coverage, self.sides, batch, answers, len(places), repeated
            )
        if names := (*self.coverage.looped, *sorted(missed)):
            singles = (examples.load(places[i : i + 1]) for i in range(len(places)))
            features |= self._loop(singles, response.answers, names)
        for name, kept in self.widths.items():
            if name not in features:  # no answer of this batch depends on it
                device = self.task.watched[name].device
                features[name] = torch.zeros(len(places), kept, device=device)
        return response, features

    def _repeated(self, batch: Any, answers: Tensor | None) -> Sequence[nn.Module]:
        """Modules to be computed again on the way back, where a pass is too long to keep them."""
        task = self.task
        if answers is None or self.coverage.replayed or not isinstance(task, Frugal):
            return ()
        return task.repeated(able(task, Sequences).layout(batch, answers).tokens.numel())

    def checked(self, batch: Any, singles: Sequence[Any], answers: Tensor) -> "GradientSource":
        """The same source, with every parameter covered by the cheapest way that is right.

        A parameter whose rule disagrees with automatic differentiation on the probe examples is
        tried by replaying its module, then by replaying the network, and is looped at last.
        """
        task = able(self.task, Layers).precise()
        truth = replace(self, task=task)._loop(singles, answers, tuple(self.task.watched))
        coverage = self.coverage
        for attempt in (_replayed, _replayed_at_the_root, _looped):
            _, found, missed = run(task, coverage, self.sides, batch, answers, len(singles))
            wrong = {
                name
                for name in truth.keys() | found.keys() | missed
                if name not in coverage.looped
                and not _agree(found.get(name), truth.get(name), self.task.watched[name])
            }
            if not wrong:
                break
            coverage = attempt(coverage, wrong, task)
        return replace(self, coverage=coverage)

    def _loop(
        self, singles: Iterator[Any] | Sequence[Any], answers: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """Features by parameter that answers depend on, from one backward pass an example."""
        rows: dict[str, list[Tensor]] = {name: [] for name in names}
        used: set[str] = set()
        for index, single in enumerate(singles):
            overlay = {n: self.task.watched[n].detach().requires_grad_() for n in names}
            grads: Sequence[Tensor | None] = [None] * len(names)
            with torch.enable_grad():
                response = self.task.respond(overlay, single, answers[index : index + 1])
                value = response.log_odds.sum()
            if value.requires_grad:
                grads = torch.autograd.grad(value, list(overlay.values()), allow_unused=True)
            for name, grad in zip(names, grads, strict=True):
                used |= set() if grad is None else {name}
                full = torch.zeros_like(self.task.watched[name]) if grad is None else grad
                rows[name].append(project(full.float(), self.sides[name]))
        return {name: torch.stack(each) for name, each in rows.items() if name in used}


def _by_kind(task: Task) -> Coverage:
    """Every module that owns a watched parameter, by its rule if it has one."""
    watched = {tensor.data_ptr(): name for name, tensor in task.watched.items()}  # type: ignore[attr-defined]
    ruled: dict[str, dict[str, str]] = {}
    replayed: dict[str, dict[str, str]] = {}
    for name, module in able(task, Layers).layers().items():
        owned = {
            local: watched[tensor.data_ptr()]
            for local, tensor in module.named_parameters(recurse=False)
            if tensor.data_ptr() in watched
        }
        if owned:
            (replayed if rule_of(module) is None else ruled)[name] = owned
    return Coverage(ruled, replayed)


def _replayed(coverage: Coverage, wrong: set[str], task: Task) -> Coverage:
    """Replay the modules that own what was wrong."""
    moved = {module: _among(owned, wrong) for module, owned in coverage.ruled.items()}
    return Coverage(
        _without(coverage.ruled, wrong),
        {**coverage.replayed, **{module: owned for module, owned in moved.items() if owned}},
    )


def _replayed_at_the_root(coverage: Coverage, wrong: set[str], task: Task) -> Coverage:
    """Replay the whole network for what was wrong."""
    replayed = _without(coverage.replayed, wrong)
    root = {**replayed.get(NETWORK, {}), **{name: name for name in sorted(wrong)}}
    return Coverage(_without(coverage.ruled, wrong), {**replayed, NETWORK: root})


def _looped(coverage: Coverage, wrong: set[str], task: Task) -> Coverage:
    """Loop over the examples for what was wrong."""
    order = tuple(name for name in task.watched if name in wrong)
    return Coverage(_without(coverage.ruled, wrong), _without(coverage.replayed, wrong), order)


def _without(names: Names, wrong: set[str]) -> dict[str, dict[str, str]]:
    kept = {m: {a: b for a, b in owned.items() if b not in wrong} for m, owned in names.items()}
    return {module: owned for module, owned in kept.items() if owned}


def _among(owned: Mapping[str, str], wrong: set[str]) -> dict[str, str]:
    return {local: name for local, name in owned.items() if name in wrong}


def _agree(found: Tensor | None, truth: Tensor | None, tensor: Tensor) -> bool:
    if found is None or truth is None:
        return found is truth
    tolerance = max(TOLERANCE, 16 * torch.finfo(tensor.dtype).eps)  # 1e-3 for float32
    scale = truth.abs().max().clamp_min(1e-6)
    return bool((found.flatten(1) - truth).abs().max() <= tolerance * scale)
