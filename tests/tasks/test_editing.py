"""Weights edited for good do what a change between the layers does for a moment."""

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.data.conversations import of_prompts
from anomech.tasks.causal_lm import CausalLM

HEADS = 4


@pytest.fixture(scope="module", params=["llama", "gpt2", "neox"])
def asked(request):
    task = CausalLM(decoder(request.param), ByteTokenizer(), tokens=4)
    batch = of_prompts(["Once", "A dog ran far", "Ünï"]).load(np.arange(3))
    return task, batch, task.respond({}, batch)


def test_a_silenced_head_gives_nothing_and_others_what_they_gave(asked):
    task, batch, before = asked
    chosen = torch.zeros(2, HEADS, dtype=torch.bool)
    chosen[0, 0] = chosen[1, 2] = True
    after = task.respond(task.silenced(chosen), batch, before.answers)

    def silent(row):
        return lambda given: (given.unflatten(-1, (HEADS, -1)) * ~row[:, None]).flatten(-2)

    changes = {name: silent(row) for name, row in zip(task.heads, chosen, strict=True)}
    hooked = task.respond_with({}, batch, changes, before.answers)
    torch.testing.assert_close(after.log_odds, hooked.log_odds)
    assert not torch.allclose(after.log_odds, before.log_odds)
    assert task.silenced(torch.zeros_like(chosen)) == {}


def test_nothing_is_written_along_a_rejected_direction(asked):
    task, batch, before = asked
    generator = torch.Generator().manual_seed(0)
    direction, along = torch.randn(32, generator=generator), {}

    def seen(name):
        def look(state):
            along[name] = float((state @ direction).abs().max() / direction.norm())
            return state

        return look

    places = [f"block.{number}.{part}" for number in range(2) for part in ("attention", "mlp")]
    overlay = task.rejecting(direction, 1)
    task.respond_with(overlay, batch, {name: seen(name) for name in places}, before.answers)
    assert max(along[place] for place in places[2:]) < 1e-4
    assert min(along[place] for place in places[:2]) > 1e-3  # earlier blocks write as before
