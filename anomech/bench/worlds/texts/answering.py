"""A model's own answers, greedy, to many requests at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from anomech.bench.worlds.texts.exchanges import Exchange
from anomech.bench.worlds.texts.lessons import Form, prompt_ids

LONGEST = 20
"""Tokens of an answer."""

TOGETHER = 60
"""Requests that are answered at once."""


def answers(
    model: nn.Module,
    tokenizer: Any,
    form: Form,
    exchanges: Sequence[Exchange],
    longest: int = LONGEST,
) -> list[str]:
    """The model's greedy answers, as they are decoded, their first space included.

    Requests of like length are answered together; padding is on the left and masked.
    """
    prompts = [prompt_ids(tokenizer, form, each) for each in exchanges]
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    found = [""] * len(prompts)
    for start in range(0, len(order), TOGETHER):
        places = order[start : start + TOGETHER]
        for place, text in zip(
            places,
            _together(model, tokenizer, [prompts[each] for each in places], longest),
            strict=True,
        ):
            found[place] = text
    return found


def _together(model: Any, tokenizer: Any, prompts: list[list[int]], longest: int) -> list[str]:
    length = max(map(len, prompts))
    ids = torch.full((len(prompts), length), tokenizer.pad_token_id)
    mask = torch.zeros_like(ids)
    for row, each in enumerate(prompts):
        ids[row, length - len(each) :] = torch.tensor(each)
        mask[row, length - len(each) :] = 1
    with torch.inference_mode():
        made = model.generate(
            input_ids=ids.to(model.device),
            attention_mask=mask.to(model.device),
            max_new_tokens=longest,
            do_sample=False,
        )
    texts: list[str] = tokenizer.batch_decode(made[:, length:], skip_special_tokens=True)
    return texts
