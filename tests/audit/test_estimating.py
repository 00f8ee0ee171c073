"""What an audit of a language model would take: more work takes more, and it is measured here."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer

from anomech.artefacts.decoder_sizes import decoder_sizes
from anomech.audit.estimating import MACHINES, Work, estimate, forward, here
from anomech.data.conversations import of_prompts
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM

LLAMA = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
         "model_type": "llama"}  # fmt: skip
WORK = Work(trusted=1000, inputs=10_000, prompt=200, answer=20, rungs=3, steps=60, batch=64)


def test_more_work_takes_longer():
    sizes, machine = decoder_sizes(LLAMA), MACHINES["h100-80gb"]
    usual = sum(estimate(sizes, machine, WORK).seconds.values())
    for change in ({"inputs": 20_000}, {"trusted": 2000}, {"prompt": 400}, {"answer": 40}):
        assert sum(estimate(sizes, machine, replace(WORK, **change)).seconds.values()) > usual
    assert estimate(sizes, machine, replace(WORK, rungs=0)).passes == 5


def test_an_8b_model_needs_a_smaller_part_for_twins_on_one_card():
    sizes, machine = decoder_sizes(LLAMA), MACHINES["h100-80gb"]
    told = " ".join(estimate(sizes, machine, WORK).advice(machine))
    assert "without twins it fits" in told
    assert not list(estimate(sizes, machine, replace(WORK, rungs=0)).advice(machine))
    assert not list(estimate(sizes, machine, replace(WORK, watched=0.1)).advice(machine))


def test_a_pass_takes_about_as_long_as_was_said():
    transformers = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        vocab_size=260, hidden_size=256, intermediate_size=512, num_hidden_layers=4,
        num_attention_heads=8, num_key_value_heads=8, bos_token_id=2, eos_token_id=1,
    )  # fmt: skip
    with torch.random.fork_rng():
        model = transformers.LlamaForCausalLM(config)
    task = CausalLM(model, ByteTokenizer(), tokens=1)
    some = of_prompts(["x" * 63] * 64)
    batch = some.load(np.arange(64))
    answers = observe(task, some).answers
    machine = here(decoder_sizes(config.to_dict()), 64)
    best = float("inf")
    for _ in range(5):  # others may want the processor too
        clock = time.perf_counter()
        with torch.no_grad():
            task.respond({}, batch, answers)
        best = min(best, time.perf_counter() - clock)
    said = 64 * forward(decoder_sizes(config.to_dict()), machine, 64)
    assert said / 4 < best < said * 4
