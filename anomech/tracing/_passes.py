"""One pass over a batch with hooks that gather every example's projected parameter gradients.

A module whose kind has a rule gives them from its input and its output's gradient. Any other module
is *replayed*: its call is repeated for each example under `vmap` and differentiated by its own
parameters, which needs no knowledge of what it does but costs its forward and backward pass again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.errors import ModelError, answered
from anomech.kernel.types import Response
from anomech.observing.responses import each_column
from anomech.roles.task import Layers, Task, able
from anomech.tracing._functions import FrozenNorm, NormedConvolution, affine, is_plain
from anomech.tracing._layers import rule_of, scaled_convolution
from anomech.tracing._projection import EXACT, Sides
from anomech.tracing._repeating import repeating
from anomech.tracing._replaying import has_rows, replay

Names = Mapping[str, Mapping[str, str]]
"""For modules by name, their parameters' local names and their watched names."""


@dataclass(frozen=True)
class Coverage:
    """How the watched parameters are traced.

    Attributes:
        ruled: by the rule of a module.
        replayed: by replaying a module.
        looped: one example at a time, by differentiating the whole model.
    """

    ruled: Names
    replayed: Names
    looped: tuple[str, ...] = ()


@dataclass
class Gathered:
    """What hooks gather in one pass.

    Attributes:
        count: examples in the batch.
        features: by watched name, float32 `[batch, ...]`.
        leaves: where the graph starts.
        missed: watched names of which some use has no row for each example.
        convolved: calls of convolutions by the id of their output, until a normalization takes it.
    """

    count: int
    features: dict[str, Tensor] = field(default_factory=dict)
    leaves: list[Tensor] = field(default_factory=list)
    missed: set[str] = field(default_factory=set)
    convolved: dict[int, "_Call"] = field(default_factory=dict)

    def add(self, name: str, rows: Tensor) -> None:
        """Add a use of a parameter; tied parameters have several."""
        rows = rows.float()
        self.features[name] = self.features[name] + rows if name in self.features else rows


def run(
    task: Task,
    coverage: Coverage,
    sides: Mapping[str, Sides],
    batch: Any,
    answers: Tensor | None,
    count: int,
    repeated: Sequence[nn.Module] = (),
) -> tuple[Response, dict[str, Tensor], set[str]]:
    """Run the model forward and backward once.

    Args:
        task: one that gives `Layers`.
        coverage: which modules to watch.
        sides: the projection of each watched parameter.
        batch: what `Examples.load` gave.
        answers: whose log-odds are differentiated; None means the model's own.
        count: examples in the batch.
        repeated: modules that are computed again on the way back, see `_repeating`.

    Returns:
        The response, features by watched name `[batch, ...]`, and the names that were missed.
    """
    seen, layers = Gathered(count), able(task, Layers).layers()
    handles = []
    for name in {**coverage.ruled, **coverage.replayed}:
        watch = _Watch(
            seen, sides, coverage.ruled.get(name, {}), coverage.replayed.get(name, {}), []
        )
        handles += watch.attached(layers[name])
    try:
        with torch.enable_grad(), repeating(repeated):
            response = task.respond({}, batch, answers)
            total = response.log_odds.sum()
            if repeated:  # what is computed again is watched as the first time
                _back(total, seen.leaves)
    finally:
        for handle in handles:
            handle.remove()
        # Its tensors hold hooks that hold what is gathered: a circle that would keep every pass.
        seen.convolved.clear()
    if not repeated:  # what is replayed is not watched again
        _back(total, seen.leaves)
    seen.leaves.clear()
    features = {n: rows for n, rows in seen.features.items() if n not in seen.missed}
    return each_column(response, torch.Tensor.detach), features, seen.missed


def _back(total: Tensor, leaves: Sequence[Tensor]) -> None:
    """Gradients of activations alone; no parameter asks for one."""
    if leaves:
        torch.autograd.grad(total, leaves, allow_unused=True)


@dataclass(frozen=True)
class _Call:
    """One call of a watched convolution; its output is kept, so that its id stays its own."""

    watch: "_Watch"
    module: nn.Module
    inputs: Tensor
    output: Tensor


@dataclass(frozen=True)
class _Watch:
    """Hooks on one module.

    Attributes:
        seen: where findings go.
        sides: of all watched parameters.
        ruled: local names that its rule gives, with their watched names.
        replayed: local names that replaying it gives, with their watched names.
        spared: inputs of calls whose own computation was spared.
    """

    seen: Gathered
    sides: Mapping[str, Sides]
    ruled: Mapping[str, str]
    replayed: Mapping[str, str]
    spared: list[Tensor]

    def attached(self, module: nn.Module) -> list[Any]:
        # What is replayed waits for the module's own output, so its call is left as it is.
        plain = bool(self.ruled) and not self.replayed and is_plain(module)
        after = partial(self.after, plain)
        handles = [module.register_forward_hook(after, with_kwargs=True)]
        if plain and isinstance(module, _BatchNorm):
            handles.append(module.register_forward_pre_hook(self.before))
        return handles

    def before(self, module: nn.Module, inputs: tuple[Any, ...]) -> Any:
        """Let a normalization work on nothing: `after` does its work, with a cheaper backward."""
        follows = torch.is_grad_enabled() and inputs and inputs[0].requires_grad
        if not (follows and has_rows(inputs[0], self.seen.count)):
            return None
        self.spared.append(inputs[0])
        return (inputs[0].detach()[:0],)

    def after(
        self,
        plain: bool,
        module: nn.Module,
        inputs: tuple[Any, ...],
        named: dict[str, Any],
        output: Any,
    ) -> Any:
        """Wait for the output's gradient."""
        if self.spared:
            return self.normalized(module, self.spared.pop())
        if not torch.is_grad_enabled():
            return output  # such as the words of a generation, before they are judged
        given = [*inputs, *named.values()]
        result = output[0] if isinstance(output, (tuple, list)) and output else output
        if not (given and all(has_rows(each, self.seen.count) for each in (given[0], result))):
            # Such as positions that all examples share: nothing here belongs to one example.
            self.seen.missed |= {*self.ruled.values(), *self.replayed.values()}
            return output
        if not result.requires_grad:
            # The first watched layer starts the graph: below it nothing needs a gradient.
            leaf = result.detach().requires_grad_()
            self.seen.leaves.append(leaf)
            result = leaf.clone()
            output = result if isinstance(output, Tensor) else type(output)((result, *output[1:]))
        elif plain and not isinstance(module, _BatchNorm):
            self.seen.convolved[id(result)] = _Call(self, module, given[0], result)
        if self.ruled:
            result.register_hook(partial(self.by_rule, module, [given[0].detach()]))
        if self.replayed:
            result.register_hook(partial(self.by_replay, module, inputs, named))
        return output

    def normalized(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """The output of a spared normalization; with the convolution before it, if there is one."""
        assert isinstance(module, _BatchNorm)
        scale, shift = affine(module)
        call = self.seen.convolved.pop(id(inputs), None)
        if call is None:
            output = FrozenNorm.apply(inputs, scale, shift)
        else:
            # Other uses of the convolution's output go on through its own node in the graph.
            output = NormedConvolution.apply(
                call.inputs, inputs.detach(), scale, shift, call.module
            )
            before = partial(call.watch.before_norm, call.module, [call.inputs.detach()], scale)
            output.register_hook(before)
        output.register_hook(partial(self.by_rule, module, [inputs.detach()]))
        return output

    def before_norm(
        self, module: nn.Module, kept: list[Tensor], scale: Tensor, gradient: Tensor
    ) -> None:
        """Features of a convolution from the gradient after the normalization of its output."""
        self.gather(partial(scaled_convolution, scale=scale), module, kept.pop(), gradient)

    def by_rule(self, module: nn.Module, kept: list[Tensor], gradient: Tensor) -> None:
        """Features from the layer's input, which is let go, and its output's gradient."""
        rule = rule_of(module)
        assert rule is not None
        self.gather(rule, module, kept.pop(), gradient)

    def gather(
        self, rule: Callable[..., Any], module: nn.Module, inputs: Tensor, gradient: Tensor
    ) -> None:
        """Ask a rule and keep what it gives."""
        pair = self.sides[self.ruled["weight"]] if "weight" in self.ruled else EXACT
        with torch.no_grad():
            found = rule(module, inputs, gradient.detach(), pair, self.ruled.keys())
        for local, rows in found.items():
            if (name := self.ruled.get(local)) is not None:
                left = self.sides[name].rows
                if rows.ndim == 2 and left is not None:  # a vector knows only its own side
                    rows = rows.float() @ left
                self.seen.add(name, rows)

    def by_replay(
        self,
        module: nn.Module,
        inputs: tuple[Any, ...],
        named: Mapping[str, Any],
        gradient: Tensor,
    ) -> None:
        """Features from repeating the call for each example."""
        try:
            given = (module, inputs, named, gradient.detach())
            found = answered(
                partial(replay, *given, self.replayed, self.sides, self.seen.count), ModelError
            )
        except ModelError:  # what `vmap` cannot map, and whatever the module raises there
            self.seen.missed |= set(self.replayed.values())
            return
        for local, rows in found.items():
            self.seen.add(self.replayed[local], rows)
