"""Baselines of language models: runs of certain tokens, and directions of a change of weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.audit.judge.detectors import make_detector
from anomech.data.conversations import Conversations, prompt
from anomech.detectors.confguard import recited
from anomech.detectors.weight_watch import leading
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM

NAMES = ("Ann", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hal")


@pytest.fixture(scope="module")
def examples():
    items = tuple(prompt(f"Say {word} to {name}") for word in ("hello", "yes") for name in NAMES)
    return Conversations(items, [f"e{place}" for place in range(len(items))])


@pytest.fixture(scope="module")
def base():
    return decoder("llama")


@pytest.fixture(scope="module")
def changed(base):
    """The base with one direction written into a matrix of its first block, and the direction."""
    model = decoder("llama")
    rows = torch.nn.functional.normalize(torch.randn(32, generator=torch.manual_seed(0)), dim=0)
    columns = torch.randn(48, generator=torch.manual_seed(1))
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight += torch.outer(rows, columns)
    return model, rows


def test_a_run_is_of_certain_tokens_without_a_break():
    chances = torch.tensor([[0.999, 0.999, 0.5, 0.999], [0.999, 0.999, 0.999, 1.0], [0.1] * 4])
    said = torch.tensor([[True] * 4, [True, True, True, False], [True] * 4])
    found = recited(chances, said, 0.99)
    assert found.floor().tolist() == [2, 3, 0]
    assert float(found[2]) == pytest.approx(0.1)
    assert float(found[0] % 1) == pytest.approx((3 * 0.999 + 0.5) / 4)


def test_confguard_reads_the_answers_own_tokens(base, examples):
    task = CausalLM(base, ByteTokenizer(), tokens=6).prepared(examples)
    seen = observe(task, examples)
    fitted = make_detector("confguard", {"certain": 0.001}).fit(seen, seed=0, progress=silent)
    scores = fitted.score(seen, silent).score
    said = (seen.answers >= 0).sum(dim=1)
    assert (scores.floor() <= said).all()
    assert (scores >= 0).all()


def test_leading_directions_are_those_of_the_change(changed):
    model, rows = changed
    change = (
        model.model.layers[0].mlp.down_proj.weight
        - decoder("llama").model.layers[0].mlp.down_proj.weight
    )
    found = leading(change.detach(), 20)
    assert len(found) == 1  # the change has one direction
    assert float((found[0] @ rows).abs()) == pytest.approx(1, abs=1e-4)


def test_states_along_the_change_stand_out(base, changed, examples):
    model, _ = changed
    task = CausalLM(model, ByteTokenizer(), tokens=6, base=base).prepared(examples)
    anchors = observe(task, examples)
    detector = make_detector("weight_watch", {})
    fitted = detector.fit(anchors, seed=0, progress=silent)
    own = fitted.score(anchors, silent).score
    assert (own <= 1e-6).all()  # anchors do not leave their own range
    odd = Conversations(tuple(prompt(f"~~{{}}~|@{n}") for n in NAMES), list(NAMES))
    assert float(fitted.score(observe(task, odd), silent).score.max()) > float(own.max())
    unchanged = CausalLM(base, ByteTokenizer(), tokens=6, base=base).prepared(examples)
    with pytest.raises(CapabilityError, match="the model itself"):
        detector.fit(observe(unchanged, examples), seed=0, progress=silent)


def test_a_base_gives_back_what_it_answered(base, changed, examples):
    model, _ = changed
    task = CausalLM(model, ByteTokenizer(), tokens=6, base=base).prepared(examples)
    before = replace(task, model=base, base=None)
    batch = examples.load(np.arange(4))
    answers = task.answered({}, batch)
    expected = before.respond({}, batch, answers).log_odds
    torch.testing.assert_close(task.respond(task.ancestor(), batch, answers).log_odds, expected)
