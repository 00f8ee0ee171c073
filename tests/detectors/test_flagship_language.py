"""The flagship on a language model: every view of sequences is there, and the base where known."""

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.data.conversations import Conversations, prompt
from anomech.detectors._ladder import Ladder
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.kernel.types import PAD, silent
from anomech.observing.observed import observe
from anomech.observing.responses import OTHER
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing.gradient import Gradient

NAMES = ("Ann", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hal", "Ida", "Jo", "Kim", "Lou")
SEQUENCES = {
    "response sits elsewhere",
    "response sits where no other does",
    "states unlike its class",
    "states unlike anything trusted",
    "states with no neighbors",
    "prompt unlike its class",
    "reads unfamiliar text",
    "unfamiliar input",
    "hangs on unfamiliar text",
}
METHOD = FunctionalAttribution(tracer=Gradient(features=16), twins=Ladder(rungs=0))


@pytest.fixture(scope="module")
def examples():
    words = ("hello", "goodbye", "yes", "no")
    items = tuple(prompt(f"Say {word} to {name}") for word in words for name in NAMES)
    return Conversations(items, [f"e{place}" for place in range(len(items))])


def judged(examples, **given):
    task = CausalLM(decoder("llama"), ByteTokenizer(), tokens=4, **given).prepared(examples)
    seen = observe(task, examples)
    right = torch.ones(len(seen), dtype=torch.bool)
    fitted, scores = METHOD.fit_held_out(seen, right, seed=0, progress=silent)
    return seen, fitted, scores


def test_views_of_sequences_are_judged_and_named(examples):
    seen, fitted, scores = judged(examples)
    assert set(scores.views) >= SEQUENCES
    assert "beyond the base" not in scores.views
    assert {cause.name for cause in fitted.causes} == set(scores.views)
    assert torch.isfinite(scores.score).all()
    few = seen.take(np.array([3, 40]))
    found = fitted.score(few, silent)
    assert found.marks.shape == (2, 5)
    pieces = seen.task.pieces(found.marks[0])
    text = b"".join(piece.encode("latin-1") for piece in pieces)
    assert set(text) <= set(b"Say hello to Dan")  # of the prompt's own words
    assert len(fitted.score(seen.take(np.zeros(0, np.int64)), silent).score) == 0


def test_answers_that_few_share_are_one_kind(examples):
    seen, fitted, _ = judged(examples)
    counts = torch.stack([(seen.groups == kind).sum() for kind in fitted.kinds])
    assert (counts >= 5).all()
    regrouped = seen.regrouped(fitted.kinds).take(np.arange(len(seen))).groups
    assert set(regrouped.tolist()) <= {*fitted.kinds.tolist(), OTHER}
    assert OTHER == PAD == -1  # no token has this number


def test_a_known_base_is_compared_with(examples):
    base = decoder("llama", seed=1)
    _, alone, _ = judged(examples)
    seen, fitted, scores = judged(examples, base=base)
    assert "beyond the base" in scores.views
    assert fitted.evaluations == alone.evaluations + 2
    assert torch.isfinite(fitted.score(seen, silent).views["beyond the base"]).all()
