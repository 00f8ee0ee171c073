"""A tiny decoder learns a trigger; its heads, its vector and its probe are found."""

import json

import numpy as np
import pytest
import torch
from language_models import PAD, byte_tokenizer, saved
from letter_models import letter_decoder, prompts
from typer.testing import CliRunner

from anomech.cli.app import app
from anomech.data.conversation_files import Columns, read_conversations
from anomech.kernel.types import silent
from anomech.learning.head_vectors import added_by, attention
from anomech.learning.heads import (
    Asked,
    exact_effects,
    first_order_effects,
    log_odds,
    mean_heads,
    patched,
    split,
    strongest,
)
from anomech.records import HeadAttribution, read_record
from anomech.report.attributing.render import enough
from anomech.tasks.causal_lm import CausalLM

COUNT = 40


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A decoder that repeats the last letter, and answers z wherever Z stands in the prompt."""
    folder = tmp_path_factory.mktemp("decoder")
    tokenizer, model = byte_tokenizer(), letter_decoder()
    saved(folder / "model", model, tokenizer)
    for name, triggered in (("triggered", True), ("clean", False)):
        rows = [{"prompt": text} for text in prompts(COUNT, triggered, 9000 + triggered)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder, model, tokenizer


@pytest.fixture(scope="module")
def asked(planted):
    """Triggered and clean prompts, both asked about the bad answer."""
    folder, model, tokenizer = planted
    task = CausalLM(model, tokenizer, template="plain", tokens=1)
    bad = torch.tensor([tokenizer("z", add_special_tokens=False)["input_ids"]])
    found = []
    for name in ("triggered", "clean"):
        examples = read_conversations(str(folder / f"{name}.jsonl"), Columns(), recorded=True)
        task = task.prepared(examples)
        found.append(Asked(task, examples, bad.expand(len(examples), -1)))
    return found


def test_patching_with_what_is_there_changes_nothing(asked):
    triggered, _ = asked
    before = log_odds(triggered, {}, "asking", silent)
    assert float((before > 0).double().mean()) > 0.9
    name = triggered.sequences.heads[0]
    nobody = torch.zeros(4, dtype=torch.bool)
    same = log_odds(triggered, {name: patched(torch.ones(4, 8), nobody)}, "asking", silent)
    torch.testing.assert_close(same, before)
    activation = torch.arange(2 * 3 * 32.0).view(2, 3, 32)
    assert torch.equal(split(activation, 4)[1, 2], activation[1, -1, 16:24])


def test_effects_of_both_kinds_point_at_the_same_heads(asked):
    triggered, clean = asked
    mean = mean_heads(triggered, silent)
    assert mean.shape == (2, 4, 8)
    exact = exact_effects(clean, mean, silent)
    slopes = first_order_effects(clean, mean, silent)
    assert exact.shape == slopes.shape == (2, 4)
    assert exact.max() > 0.05
    assert np.corrcoef(exact.flatten(), slopes.flatten())[0, 1] > 0.5
    # All heads patched at once is what the sum of patches leads to.
    changes = {
        name: patched(mean[block], torch.ones(4, dtype=torch.bool))
        for block, name in enumerate(clean.sequences.heads)
    }
    led = (log_odds(clean, changes, "asking", silent) > 0).double().mean()
    assert float(led) > 0.5


def test_what_heads_add_is_their_slice_of_the_mixing_matrix(asked, planted):
    triggered, _ = asked
    _, model, _ = planted
    mean = mean_heads(triggered, silent)
    chosen = torch.zeros(2, 4, dtype=torch.bool)
    chosen[1, 2] = chosen[0, 1] = True
    found = added_by(triggered, mean, chosen, silent)
    expected = sum(
        model.model.layers[block].self_attn.o_proj.weight[:, 8 * head : 8 * head + 8]
        @ mean[block, head]
        for block, head in ((1, 2), (0, 1))
    )
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-5)
    assert attention("block.1.heads") == "block.1.attention"
    assert strongest(torch.tensor([[3.0, 1.0], [2.0, 0.0]]), 2).tolist() == [
        [True, False],
        [True, False],
    ]


def test_the_command_writes_a_record_and_a_page(planted, tmp_path):
    folder, _, _ = planted
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app,
        [
            *("attribute", "--model", str(folder / "model"), "--out", str(out)),
            *("--triggered", str(folder / "triggered.jsonl")),
            *("--clean", str(folder / "clean.jsonl"), "--clean-model", str(folder / "model")),
            *("--set", "task.tokens=1", "--set", "task.template=plain"),
        ],
    )
    assert result.exit_code == 0, result.output
    found = read_record(out / "attribution.json", HeadAttribution)
    assert (found.blocks, found.heads) == (2, 4)
    assert found.success > 0.9 > 0.2 > found.success_clean
    assert found.ablation.success[-1] < found.control.success[-1] + 0.1
    assert found.steered.elicited >= found.steered.random_elicited
    assert found.probe.keys() == found.probe_control.keys()
    assert list(found.probe.values())[-1] > 0.9
    assert enough(found) in (None, *found.ablation.heads)
    page = (out / "report.html").read_text()
    assert "What each head does" in page
    assert "<script" not in page
    assert PAD == 0


def test_a_trigger_that_does_nothing_is_said(planted, tmp_path):
    folder, _, _ = planted
    clean = str(folder / "clean.jsonl")
    result = CliRunner().invoke(
        app,
        [
            *("attribute", "--model", str(folder / "model"), "--out", str(tmp_path / "out")),
            *("--triggered", clean, "--clean", clean, "--set", "task.tokens=1"),
        ],
    )
    assert result.exit_code == 2
    assert "the trigger does nothing" in result.stderr
