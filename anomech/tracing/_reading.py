"""Reading along a sequence: what a response shows place by place, from the pass that traces it.

The gradient tracer sums over the places of a sequence. Here the same inputs and output gradients
are looked at place by place before they are let go, and a few numbers of each example are kept, see
`anomech.attribution.reading`.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attribution.reading import energies, read, shares, strangest, strangest_run, windows
from anomech.kernel.types import PAD, Overlay, Response
from anomech.roles.sequences import Layout, Sequences
from anomech.roles.task import Ability, Activations, Layers, Task, able
from anomech.tracing._projection import Sides
from anomech.tracing._reader import SHOWN, WINDOWS, Reader


@dataclass(eq=False)
class Watch:
    """One pass of a task while it is read: a task itself, which hooks see through.

    Attributes:
        task: the model.
        reader: what is looked at.
        sides: of the projections, by watched name.
        repeats: whether blocks are computed again on the way back.
        layout: of the sequences, once they are known.
        window: of each place.
        found: energies `[batch, windows]` by module.
        states: by stream.
        pulls: lengths of the gradient by each token's state `[batch, width]`, by stream.
    """

    task: Task
    reader: Reader
    sides: Mapping[str, Sides]
    repeats: bool = False
    layout: Layout | None = None
    window: Tensor | None = None
    found: dict[str, Tensor] = field(default_factory=dict)
    states: dict[str, Tensor] = field(default_factory=dict)
    pulls: dict[str, Tensor] = field(default_factory=dict)

    @property
    def provides(self) -> frozenset[Ability]:
        """Those of the model."""
        return self.task.provides

    @property
    def watched(self) -> Mapping[str, Tensor]:
        """Those of the model."""
        return self.task.watched

    def layers(self) -> Mapping[str, nn.Module]:
        """Those of the model."""
        return able(self.task, Layers).layers()

    def respond(self, overlay: Overlay, batch: Any, answers: Tensor | None = None) -> Response:
        """As the task, and ready to see what comes back."""
        changes = {name: partial(self._passing, name) for name in self.reader.streams}
        response = able(self.task, Activations).respond_with(overlay, batch, changes, answers)
        self.layout = able(self.task, Sequences).layout(batch, response.answers)
        self.window = windows(self.layout.tokens != PAD, WINDOWS)
        return response

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks on the layers whose responses are taken apart; both ways of a pass go within."""
        modules = self.layers()
        with ExitStack() as hooks:
            for name in self.reader.depths:
                handle = modules[name].register_forward_hook(partial(self._after, name))
                hooks.callback(handle.remove)
            yield

    def _after(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        again = self.layout is not None and not self.repeats  # such as a module that is replayed
        if torch.is_grad_enabled() and output.requires_grad and not again:
            output.register_hook(partial(self._taken_apart, name, [inputs[0].detach()]))

    def _taken_apart(self, name: str, kept: list[Tensor], gradient: Tensor) -> None:
        assert self.window is not None
        if gradient.shape[:2] != self.window.shape:
            return  # such as the head, which runs at the decision alone
        rows, columns, _ = self.sides[self.reader.weights[name]]
        right, left = kept.pop().float(), gradient.detach().float()
        right = right if columns is None else right @ columns
        left = left if rows is None else left @ rows
        # Blocks may be on several devices; what is kept is where the sequences are.
        window = self.window.to(left.device)
        self.found[name] = energies(left, right, window, WINDOWS).to(self.window.device)

    def _passing(self, name: str, state: Tensor) -> Tensor:
        if torch.is_grad_enabled() and state.requires_grad:
            self.states[name] = state.detach()
            state.register_hook(partial(self._pulled, name))
        return state

    def _pulled(self, name: str, gradient: Tensor) -> None:
        self.pulls[name] = gradient.detach().float().norm(dim=2)

    def sights(self, half: Tensor, batch: Any, response: Response) -> dict[str, Tensor]:
        """What was seen, by name of the sight, `[batch, ...]` on the CPU; one more forward pass.

        Args:
            half: of each example, int64 `[batch]`.
            batch: the examples.
            response: to them.
        """
        assert self.layout is not None
        interior, tokens = self.layout.interior, self.layout.tokens
        found = dict[str, Tensor]()
        if self.reader.depths:
            by_depth = [self._energy(depth) for depth in range(self.reader.levels)]
            found["where"] = shares(torch.stack(by_depth, dim=2))
        reads, unfamiliar = [], []
        marked, strange = (torch.zeros_like(interior, dtype=torch.float32) for _ in range(2))
        for name in self.reader.streams:
            states, weights = self.states[name].float(), self.pulls[name].to(interior.device)
            each = torch.stack([h[name].distance(states) for h in self.reader.halves])
            each = each.to(interior.device)
            distances = each.gather(0, half.to(each.device)[None, :, None].expand_as(each[:1]))[0]
            reads.append(read(weights, distances, interior))
            unfamiliar.append(strangest(distances, interior))
            marked = marked + weights * distances * interior
            strange = strange + distances
        found["gist"] = torch.stack([self._gist(name) for name in self.reader.streams], dim=1)
        found["reads"] = torch.stack(reads, dim=1)
        found["unfamiliar"] = torch.stack(unfamiliar, dim=1)
        found["hangs"] = self._hanging(strangest_run(strange, interior), batch, response)[:, None]
        top = marked.topk(min(SHOWN, marked.shape[1]), dim=1)
        shown = torch.where(top.values > 0, tokens.gather(1, top.indices), PAD)
        found["tokens"] = functional.pad(shown, (0, SHOWN - shown.shape[1]), value=PAD)
        return {name: each.cpu() for name, each in found.items()}

    @torch.no_grad()
    def _hanging(self, dropped: Tensor, batch: Any, response: Response) -> Tensor:
        """Log-odds that answers lose when these tokens are taken out of their prompts `[batch]`."""
        shorter = able(self.task, Sequences).without(batch, response.answers, dropped)
        return response.log_odds - self.task.respond({}, shorter, response.answers).log_odds

    def _gist(self, name: str) -> Tensor:
        """Mean state of the prompt's own tokens `[batch, kept]`; zeros where there are none."""
        assert self.layout is not None
        interior = self.layout.interior[:, :, None]
        states = self.states[name].float().to(interior.device)
        mean = (states * interior).sum(dim=1) / interior.sum(dim=1).clamp_min(1)
        return mean if self.reader.gist is None else mean @ self.reader.gist.to(mean.device)

    def _energy(self, depth: int) -> Tensor:
        """Of the windows at one depth `[batch, windows]`."""
        assert self.window is not None
        none = torch.zeros(len(self.window), WINDOWS, device=self.window.device)
        depths = self.reader.depths
        return sum((each for n, each in self.found.items() if depths[n] == depth), start=none)
