"""Which attention heads carry a known trigger: what patching each of them does to the bad answer.

Everything happens at the last position of the sequences that a response runs, where the decision
token is chosen. What a head gives is `[size]` numbers there, before heads are mixed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.types import Examples, Progress
from anomech.observing.joining import passes
from anomech.roles.sequences import Sequences
from anomech.roles.task import Activations, Task, able

Changes = Mapping[str, Callable[[Tensor], Tensor]]
"""What is done at places between the layers."""


@dataclass(frozen=True)
class Asked:
    """Prompts with the answers that they are asked about.

    Attributes:
        task: a model of sequences whose activations can be changed.
        examples: the prompts.
        answers: int64 `[prompts, tokens]`.
    """

    task: Task
    examples: Examples
    answers: Tensor

    @property
    def sequences(self) -> Sequences:
        """The task as one of sequences."""
        return cast(Sequences, self.task)

    def take(self, places: np.ndarray) -> "Asked":
        """Some of them."""
        return Asked(self.task, Subset(self.examples, places), self.answers[places])


def split(activation: Tensor, heads: int) -> Tensor:
    """What each head gives at the last position `[batch, heads, size]`."""
    return activation[:, -1].unflatten(-1, (heads, -1))


@torch.no_grad()
def log_odds(asked: Asked, changes: Changes, stage: str, progress: Progress) -> Tensor:
    """Of the decision token of each answer under changes, float64 `[prompts]`, nats."""
    task, found = able(asked.task, Activations), torch.zeros(len(asked.examples)).double()
    for places, own in passes(asked.task, asked.examples, asked.answers, stage, progress):
        response = task.respond_with({}, asked.examples.load(places), changes, own)
        found[torch.from_numpy(places)] = response.log_odds.double().cpu()
    return found


@torch.no_grad()
def mean_heads(asked: Asked, progress: Progress) -> Tensor:
    """What each head gives on average, float32 `[blocks, heads, size]`."""
    names, count = asked.sequences.heads, asked.sequences.head_count
    total: dict[str, Tensor] = {}

    def reader(name: str) -> Callable[[Tensor], Tensor]:
        def read(activation: Tensor) -> Tensor:
            part = split(activation.detach(), count).float().sum(dim=0).cpu()
            total[name] = part if name not in total else total[name] + part
            return activation

        return read

    changes = {name: reader(name) for name in names}
    log_odds(asked, changes, "reading heads", progress)
    return torch.stack([total[name] for name in names]) / len(asked.examples)


def patched(values: Tensor, chosen: Tensor) -> Callable[[Tensor], Tensor]:
    """Puts values `[heads, size]` in place of what chosen heads, bool `[heads]`, give."""

    def patch(activation: Tensor) -> Tensor:
        given = split(activation, len(chosen))
        kept = torch.where(chosen[:, None].to(given.device), values.to(given), given)
        changed = activation.clone()
        changed[:, -1] = kept.flatten(-2)
        return changed

    return patch


def exact_effects(clean: Asked, mean: Tensor, progress: Progress) -> Tensor:
    """How much patching each head raises the probability of the answer `[blocks, heads]`.

    The mean over prompts of `P(answer | head patched) - P(answer)`, the average causal indirect
    effect of Yu et al. 2025 (backdoor attribution).

    Args:
        clean: prompts without the trigger, with the bad answer.
        mean: what heads give on prompts with it `[blocks, heads, size]`.
        progress: told the stage "patching heads".
    """
    before = log_odds(clean, {}, "asking", progress).sigmoid()
    names, (blocks, heads, _) = clean.sequences.heads, mean.shape
    found = torch.zeros(blocks, heads, dtype=torch.float64)
    for block in range(blocks):
        for head in range(heads):
            alone = torch.arange(heads) == head
            changes = {names[block]: patched(mean[block], alone)}
            after = log_odds(clean, changes, "asking with a head patched", _quiet).sigmoid()
            found[block, head] = float((after - before).mean())
            progress("patching heads", block * heads + head + 1, blocks * heads)
    return found


def first_order_effects(clean: Asked, mean: Tensor, progress: Progress) -> Tensor:
    """The same to first order, of log-odds, nats `[blocks, heads]`: one backward pass for all.

    `(mean - a) . d log-odds / d a`, attribution patching (Nanda 2023).
    """
    task, names, count = able(clean.task, Activations), clean.sequences.heads, mean.shape[1]
    total = torch.zeros(mean.shape[:2], dtype=torch.float64)
    stage = "following the answer to the heads"
    for places, own in passes(clean.task, clean.examples, clean.answers, stage, progress):
        seen: dict[str, Tensor] = {}
        changes = {name: _followed(seen, name) for name in names}
        with torch.enable_grad():
            batch = clean.examples.load(places)
            odds = task.respond_with({}, batch, changes, own).log_odds
            slopes = torch.autograd.grad(odds.sum(), [seen[name] for name in names])
        for block, (name, slope) in enumerate(zip(names, slopes, strict=True)):
            away = mean[block].to(slope) - split(seen[name].detach(), count)
            effect = (away * split(slope, count)).sum(dim=2).sum(dim=0)
            total[block] += effect.double().cpu()
    return total / len(clean.examples)


def ablation(names: Sequence[str], chosen: Tensor) -> dict[str, Callable[[Tensor], Tensor]]:
    """Silences chosen heads, bool `[blocks, heads]`, at the last position."""
    return {
        name: patched(torch.zeros(len(row), 1), row)
        for name, row in zip(names, chosen, strict=True)
        if bool(row.any())
    }


def strongest(effects: Tensor, count: int) -> Tensor:
    """The heads with the largest effects, bool `[blocks, heads]`."""
    flat = torch.zeros(effects.numel(), dtype=torch.bool)
    flat[effects.flatten().topk(min(count, effects.numel())).indices] = True
    return flat.view(effects.shape)


def random_heads(shape: tuple[int, int], count: int, generator: torch.Generator) -> Tensor:
    """As many heads at random, bool `[blocks, heads]`."""
    flat = torch.zeros(shape[0] * shape[1], dtype=torch.bool)
    flat[torch.randperm(len(flat), generator=generator)[:count]] = True
    return flat.view(shape)


def _followed(seen: dict[str, Tensor], name: str) -> Callable[[Tensor], Tensor]:
    """Notes an activation, through which gradients are to flow."""

    def follow(activation: Tensor) -> Tensor:
        kept = activation if activation.requires_grad else activation.requires_grad_()
        seen[name] = kept
        return kept

    return follow


def _quiet(stage: str, done: int, total: int) -> None:
    """One of many calls, whose whole is told by the caller."""
