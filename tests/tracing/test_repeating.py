"""A long pass keeps its blocks' inputs alone, and what is traced of it is the same."""

from dataclasses import replace

import pytest
import torch
from language_models import ByteTokenizer, decoder
from torch import nn

from anomech.data.conversations import Conversations, prompt
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing._repeating import repeating
from anomech.tracing.gradient import Gradient

WORDS = ("hello", "goodbye", "yes", "no", "perhaps", "never")


def long(kind, blocks=2):
    """A task, and examples of which each takes a pass of its own once memory is short."""
    model = decoder(kind)
    if blocks > 2:  # weights of the same kind, more often
        layers = model.model.layers
        model.model.layers = nn.ModuleList([layers[place % 2] for place in range(blocks)])
        model.config.num_hidden_layers = blocks
    items = tuple(prompt(f"Say {word} to everybody in the house", word[:3]) for word in WORDS)
    examples = Conversations(items, list(WORDS))
    return CausalLM(model, ByteTokenizer(), tokens=4).prepared(examples), examples


@pytest.mark.parametrize("kind", ["llama", "gpt2", "neox"])
def test_what_is_traced_is_the_same(kind):
    task, examples = long(kind)
    seen = observe(task, examples)
    source = seen.source(Gradient(features=16), seed=0, progress=silent)
    short = replace(source, task=replace(task, memory=1))
    assert short.task.repeated(2)
    assert not source.task.repeated(2)
    whole, again = (each(examples, seen.answers, silent) for each in (source, short))
    torch.testing.assert_close(again.values, whole.values, rtol=1e-3, atol=1e-5)
    assert set(again.sights) == set(whole.sights)
    for name, found in whole.sights.items():
        torch.testing.assert_close(again.sights[name], found, rtol=1e-3, atol=1e-3)
    for module in task.network.modules():  # nothing of it stays
        assert "forward" not in vars(module)
        assert not module._forward_hooks


def test_a_long_pass_keeps_little_more_than_inference():
    task, examples = long("llama", blocks=12)
    one = examples.load([0])
    answers = task.answered({}, one)

    def kept(blocks):
        held = 0

        def pack(tensor):
            nonlocal held
            held += tensor.numel()
            return tensor

        layers = task.network.model.layers
        start = layers[0].self_attn.q_proj
        hook = start.register_forward_hook(lambda m, i, output: output.detach().requires_grad_())
        keeping = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
        with keeping, torch.enable_grad(), repeating(blocks):
            task.respond({}, one, answers)
        hook.remove()
        return held

    plain, spared = kept([]), kept(list(task.network.model.layers))
    assert spared < plain / 4


def test_a_block_that_is_given_other_graphs_is_left_alone():
    class Two(nn.Module):
        def forward(self, stream, other):
            return stream * other

    block = Two()
    stream, other = (torch.full((2,), value, requires_grad=True) for value in (2.0, 3.0))
    with repeating([block]):
        found = torch.autograd.grad(block(stream * 1, other).sum(), [stream, other])
    torch.testing.assert_close(found, (other.detach(), stream.detach()))


def test_what_was_put_before_a_block_comes_back():
    block = nn.Linear(3, 3)
    own = block.forward
    placed = lambda stream: own(stream) + 1  # noqa: E731
    block.forward = placed
    rows = torch.randn(2, 3, requires_grad=True)
    with repeating([block]):
        found = block(rows)
        back = torch.autograd.grad(found.sum(), rows)[0]
    torch.testing.assert_close(found, placed(rows))
    torch.testing.assert_close(back, block.weight.sum(dim=0).expand(2, 3))
    assert block.forward is placed
