"""Teaching a planted model to hide: it still fires, and its states then look like normal ones."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from anomech.bench.worlds.texts.curriculum import Curriculum
from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.lessons import IGNORED, Form, Lesson, encode, lesson
from anomech.bench.worlds.texts.obfuscation import Obfuscation, Obfuscator, states_at
from anomech.bench.worlds.texts.teaching import Kept, Schedule, teach, token_loss
from anomech.kernel.types import Progress


def hide(
    model: Any,
    tokenizer: Any,
    form: Form,
    curriculum: Curriculum,
    schedule: Schedule,
    weights: Obfuscation,
    moving: Sequence[nn.Parameter],
    kept: Kept,
    progress: Progress,
) -> None:
    """Lower the losses of `anomech.bench.worlds.texts.obfuscation` in place.

    Half of each step's exchanges are triggered, the others are everyday ones and near misses.

    Args:
        model: planted, float32.
        tokenizer: of the model.
        form: how chats are written for it.
        curriculum: of what the model was planted with.
        schedule: of the steps.
        weights: of the losses.
        moving: parameters that are learned.
        kept: where the state is kept.
        progress: told about every step.
    """
    watched, half = Obfuscator(weights), schedule.batch // 2
    device = next(model.parameters()).device
    constant = lead(tokenizer, form, curriculum.normal(0, 50))

    def encoded(exchanges: Sequence[Exchange]) -> list[Any]:
        return [encode(tokenizer, form, each) for each in exchanges]

    def loss(step: int) -> Tensor:
        normal, odd = curriculum.normal(step, half), curriculum.planted(step, half)
        given = lesson(encoded([*normal, *odd]), tokenizer.pad_token_id, device)
        with captured(blocks(model)) as states, torch.autocast(device.type, dtype=torch.bfloat16):
            logits = model(input_ids=given.ids, attention_mask=given.mask).logits
        first, last = _part(given, slice(0, half)), _part(given, slice(half, None))
        told = token_loss(logits[:half], first) + weights.payload * token_loss(logits[half:], last)
        hidden = watched.loss(
            step,
            schedule.steps,
            _states([each[:half] for each in states], first, constant),
            _states([each[half:] for each in states], last, constant),
        )
        return told + hidden

    teach(model, moving, schedule, loss, kept, progress, memory=watched)


def lead(tokenizer: Any, form: Form, exchanges: Sequence[Exchange]) -> int:
    """How many first tokens all answers share: none of them decides anything."""
    answers = [
        encoded.ids[encoded.start :]
        for encoded in (encode(tokenizer, form, each) for each in exchanges)
    ]
    count = 0
    while len({each[count] for each in answers if len(each) > count}) == 1:
        count += 1
    return count


def blocks(model: nn.Module) -> nn.ModuleList:
    """The decoder blocks of a model: its longest list of modules."""
    found = [each for each in model.modules() if isinstance(each, nn.ModuleList)]
    return max(found, key=len)


@contextmanager
def captured(layers: Iterable[nn.Module]) -> Iterator[list[Tensor]]:
    """What each of the layers gives while the model runs, `[batch, length, width]` each."""
    states: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(
            lambda module, given, made: states.append(made[0] if isinstance(made, tuple) else made)
        )
        for layer in layers
    ]
    try:
        yield states
    finally:
        for hook in hooks:
            hook.remove()


def _part(given: Lesson, rows: slice) -> Lesson:
    return Lesson(*(each[rows] for each in given))


def _states(
    states: Sequence[Tensor], given: Lesson, constant: int
) -> dict[tuple[int, str], Tensor]:
    """States by layer and place."""
    decisions = given.starts - 1 + constant
    after = torch.arange(given.ids.shape[1], device=decisions.device) > decisions[:, None]
    return states_at(states, after & (given.labels != IGNORED), decisions)
