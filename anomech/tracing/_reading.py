"""Reading along a sequence: what a response shows place by place, from the pass that traces it.

The gradient tracer sums over the places of a sequence. Here the same inputs and output gradients
are looked at place by place before they are let go, and a few numbers of each example are kept, see
`anomech.attribution.reading`. What is familiar is learned from trusted tokens in two halves by
content: an example is judged by the half that it does not belong to, whether it is trusted or not.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.attribution.reading import (
    Tokens,
    energies,
    fit_tokens,
    read,
    shares,
    strangest,
    strangest_run,
    windows,
)
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import PAD, Examples, Overlay, Progress, Response
from anomech.observing.activations import activations
from anomech.observing.joining import passes
from anomech.roles.sequences import Layout, Sequences
from anomech.roles.task import Ability, Activations, Layers, Task, able
from anomech.tracing._projection import Sides

WINDOWS, DEPTHS = 8, 6
"""Into which a sequence, and the depth of the network, are cut."""

LEVELS = (1 / 6, 3 / 6, 5 / 6)
"""Depths at which tokens are compared, as shares of the blocks."""

MOST = 6000
"""Trusted tokens of a half that are learned from, at the most."""

SHOWN = 5
"""Tokens of each example that a report can show."""

HALVES = 2


@dataclass(frozen=True)
class Reader:
    """What is looked at along the sequences of a model.

    Attributes:
        depths: of the linear layers whose responses are taken apart, from 0, by name; where there
            are none, nothing is said of where a response sits.
        weights: watched name of each of their weights.
        halves: trusted tokens by stream; of an example of half k, `halves[k]` has learned nothing.
    """

    depths: Mapping[str, int]
    weights: Mapping[str, str]
    halves: tuple[Mapping[str, Tokens], ...]

    @property
    def streams(self) -> list[str]:
        """Where tokens are compared."""
        return list(self.halves[0])

    @property
    def levels(self) -> int:
        """How many depths there are."""
        return 1 + max(self.depths.values(), default=-1)

    @property
    def nothing(self) -> dict[str, Tensor]:
        """What is seen of no examples."""
        level = len(self.streams)
        widths = {"where": WINDOWS * self.levels} if self.depths else {}
        widths |= {"reads": level, "unfamiliar": level, "hangs": 1, "tokens": SHOWN}
        return {name: torch.zeros(0, width) for name, width in widths.items()}

    def on_device(self, device: torch.device) -> "Reader":
        """The same with its tensors on this device."""
        moved = (
            {
                name: Tokens(each.mean.to(device), each.precision.to(device))
                for name, each in h.items()
            }
            for h in self.halves
        )
        return Reader(self.depths, self.weights, tuple(moved))


def fit_reader(
    task: Task,
    ruled: Mapping[str, Mapping[str, str]],
    trusted: Examples,
    answers: Tensor,
    *,
    seed: int,
    progress: Progress,
) -> Reader | None:
    """Learn what trusted tokens look like; None if inputs are no sequences, or there are too few.

    Args:
        task: the model.
        ruled: watched names of the parameters of modules that are traced by a rule.
        trusted: examples; each is run forward once.
        answers: to them.
        seed: of which tokens are kept.
        progress: told the stage "reading".
    """
    if not {Sequences, Activations, Layers} <= task.provides:
        return None
    modules, blocks = able(task, Layers).layers(), len(able(task, Sequences).streams) - 1
    names = [n for n in ruled if "weight" in ruled[n] and isinstance(modules[n], nn.Linear)]
    parts = np.array_split(np.arange(len(names)), max(1, min(DEPTHS, blocks)))
    depths = {names[place]: depth for depth, part in enumerate(parts) for place in part}
    of = halves_of(trusted.digests())
    states = _token_states(task, trusted, answers, seed, progress)
    if min(int((of == half).sum()) for half in range(HALVES)) < 2:
        return None
    halves = []
    for half in range(HALVES):
        others = [states[place] for place in torch.nonzero(of != half)[:, 0].tolist()]
        rows = {name: torch.cat([each[name] for each in others]) for name in others[0]}
        count = len(next(iter(rows.values())))
        kept = numpy_generator(seed, "tokens", half).permutation(count)[:MOST]
        halves.append(
            {name: fit_tokens(each[torch.from_numpy(kept)]) for name, each in rows.items()}
        )
    return Reader(depths, {name: ruled[name]["weight"] for name in names}, tuple(halves))


def halves_of(digests: Sequence[str]) -> Tensor:
    """The half of each example, drawn by its content, int64 `[n]`."""
    return torch.tensor([key(0, "half", each) % HALVES for each in digests], dtype=torch.int64)


def _token_states(
    task: Task, trusted: Examples, answers: Tensor, seed: int, progress: Progress
) -> list[dict[str, Tensor]]:
    """States of the interior tokens of each example `[tokens, d]` by stream."""
    sequences = able(task, Sequences)
    blocks = len(sequences.streams) - 1
    places = dict.fromkeys(max(1, round(blocks * share)) for share in LEVELS)
    streams = [sequences.streams[place] for place in places]
    most = -(-2 * HALVES * MOST // max(1, len(trusted)))  # of one example
    found: list[dict[str, Tensor]] = [{} for _ in range(len(trusted))]
    for some, given in passes(task, trusted, answers, "reading", progress):
        assert given is not None
        batch = trusted.load(some)
        seen = activations(task, batch, streams, given)
        interior = sequences.layout(batch, given).interior
        for row, place in enumerate(some.tolist()):
            order = numpy_generator(seed, "token", place).permutation(int(interior[row].sum()))
            kept = torch.nonzero(interior[row])[:, 0][torch.from_numpy(order[:most])]
            found[place] = {name: each[row, kept].float().cpu() for name, each in seen.items()}
    return found


@dataclass(eq=False)
class Watch:
    """One pass of a task while it is read: a task itself, which hooks see through.

    Attributes:
        task: the model.
        reader: what is looked at.
        sides: of the projections, by watched name.
        layout: of the sequences, once they are known.
        window: of each place.
        found: energies `[batch, windows]` by module.
        states: by stream.
        pulls: lengths of the gradient by each token's state `[batch, width]`, by stream.
    """

    task: Task
    reader: Reader
    sides: Mapping[str, Sides]
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
        modules = self.layers()
        with ExitStack() as hooks:
            for name in self.reader.depths:
                handle = modules[name].register_forward_hook(partial(self._after, name))
                hooks.callback(handle.remove)
            changes = {name: partial(self._passing, name) for name in self.reader.streams}
            response = able(self.task, Activations).respond_with(overlay, batch, changes, answers)
        self.layout = able(self.task, Sequences).layout(batch, response.answers)
        self.window = windows(self.layout.tokens != PAD, WINDOWS)
        return response

    def _after(self, name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            output.register_hook(partial(self._taken_apart, name, [inputs[0].detach()]))

    def _taken_apart(self, name: str, kept: list[Tensor], gradient: Tensor) -> None:
        assert self.window is not None
        if gradient.shape[:2] != self.window.shape:
            return  # such as the head, which runs at the decision alone
        rows, columns, _ = self.sides[self.reader.weights[name]]
        right, left = kept.pop().float(), gradient.detach().float()
        right = right if columns is None else right @ columns
        left = left if rows is None else left @ rows
        self.found[name] = energies(left, right, self.window, WINDOWS)

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
            states, weights = self.states[name].float(), self.pulls[name]
            each = torch.stack([h[name].distance(states) for h in self.reader.halves])
            distances = each.gather(0, half.to(each.device)[None, :, None].expand_as(each[:1]))[0]
            reads.append(read(weights, distances, interior))
            unfamiliar.append(strangest(distances, interior))
            marked = marked + weights * distances * interior
            strange = strange + distances
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

    def _energy(self, depth: int) -> Tensor:
        """Of the windows at one depth `[batch, windows]`."""
        assert self.window is not None
        none = torch.zeros(len(self.window), WINDOWS, device=self.window.device)
        depths = self.reader.depths
        return sum((each for n, each in self.found.items() if depths[n] == depth), start=none)
