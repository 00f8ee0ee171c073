"""What is looked at along sequences, and what trusted tokens look like there.

What is familiar is learned from trusted tokens in two halves by content: an example is judged by
the half that it does not belong to, whether it is trusted or not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from anomech.attribution.reading import Tokens, fit_tokens
from anomech.kernel.randomness import key, numpy_generator
from anomech.kernel.types import Examples, Progress
from anomech.observing.activations import activations
from anomech.observing.joining import passes
from anomech.roles.sequences import Sequences
from anomech.roles.task import Activations, Layers, Task, able
from anomech.tracing.states import WIDTH, orthonormal

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
        gist: what mean states of wide streams are projected by `[units, kept]`; None keeps them.
    """

    depths: Mapping[str, int]
    weights: Mapping[str, str]
    halves: tuple[Mapping[str, Tokens], ...]
    gist: Tensor | None = None

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
        found = {name: torch.zeros(0, width) for name, width in widths.items()}
        units = [each.mean.shape[0] for each in self.halves[0].values()]
        kept = self.gist.shape[1] if self.gist is not None else units[0]
        return {**found, "gist": torch.zeros(0, level, kept)}

    def on_device(self, device: torch.device) -> "Reader":
        """The same with its tensors on this device."""
        moved = (
            {
                name: Tokens(each.mean.to(device), each.precision.to(device))
                for name, each in h.items()
            }
            for h in self.halves
        )
        gist = None if self.gist is None else self.gist.to(device)
        return Reader(self.depths, self.weights, tuple(moved), gist)


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
    units = next(iter(halves[0].values())).mean.shape[0]
    gist = orthonormal(units, WIDTH, seed) if units > WIDTH else None
    return Reader(depths, {name: ruled[name]["weight"] for name in names}, tuple(halves), gist)


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
