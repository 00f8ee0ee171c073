"""Repairs of language models on a tiny one with a trigger: it goes, and the rest stays."""

import numpy as np
import pytest
import torch
from language_models import byte_tokenizer
from letter_models import letter_decoder, prompts

from anomech.data.conversations import Conversation, Conversations, Turn, of_prompts
from anomech.kernel.errors import DataError
from anomech.kernel.types import anew, silent
from anomech.learning.descent import Lesson, Relearning
from anomech.mitigations.crow import Crow, pushed_apart
from anomech.mitigations.fine_tuning import FineTuning
from anomech.mitigations.head_ablation import HeadAblation
from anomech.mitigations.vector_suppression import VectorSuppression
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM

ADAM = Relearning(epochs=3, batch=16, rate=4e-3, optimizer="adam")


@pytest.fixture(scope="module")
def scene():
    """The model, trusted prompts with what is right, and prompts that were flagged."""
    texts = prompts(60, False, 9000)
    trusted = of_prompts(texts, [text[-1] for text in texts])
    task = CausalLM(
        letter_decoder(), byte_tokenizer(), template="plain", tokens=1, references="exact"
    ).prepared(trusted)
    flagged = of_prompts(prompts(30, True, 9001))
    return task, observe(task, trusted), observe(task, flagged)


def shares(task, overlay):
    """Of new prompts: triggered ones answered z, clean ones answered rightly."""
    led, clean = prompts(60, True, 77), prompts(60, False, 78)
    given = [
        task.words(task.respond(overlay, of_prompts(texts).load(np.arange(60))).answers)
        for texts in (led, clean)
    ]
    success = np.mean([word == "z" for word in given[0]])
    return success, np.mean([word == text[-1] for word, text in zip(given[1], clean, strict=True)])


@pytest.mark.parametrize(
    ("method", "least"),
    [
        (HeadAblation(most=1.0), 0.9),
        (VectorSuppression(heads=0.9), 0.9),
        (VectorSuppression(), 0.4),
    ],
)
def test_the_trigger_loses_and_clean_prompts_keep_their_answers(scene, method, least):
    task, trusted, flagged = scene
    success, right = shares(task, {})
    assert success > 0.9
    assert right > 0.9
    repair = method.mitigate(task, trusted, flagged, seed=0, progress=silent)
    after, kept = shares(task, repair.overlay)
    assert after < success - least
    assert kept > right - 0.2
    assert repair.evaluations > 0
    again = method.mitigate(task, trusted, flagged, seed=0, progress=silent)
    for name, tensor in repair.overlay.items():
        torch.testing.assert_close(tensor, again.overlay[name])


@pytest.mark.parametrize("method", [HeadAblation(), VectorSuppression()])
def test_heads_are_not_looked_for_without_enough_flagged_prompts(scene, method):
    task, trusted, flagged = scene
    with pytest.raises(DataError, match="there are none"):
        method.mitigate(task, trusted, None, seed=0, progress=silent)
    few = flagged.take(np.arange(3))
    with pytest.raises(DataError, match="begin alike"):
        method.mitigate(task, trusted, few, seed=0, progress=silent)


def test_consistency_is_learned_beside_the_answers(scene):
    task, trusted, _ = scene
    lesson = Lesson(task, trusted.examples, task.targets(trusted.examples.labels))
    places = np.arange(8)
    still, pushed = (float(pushed_apart(lesson, {}, places, e)) for e in (1e-6, 0.05))
    assert 0 < still < pushed < 2
    parted = []
    for method in (Crow(relearning=ADAM), FineTuning(relearning=ADAM)):
        repair = method.mitigate(task, trusted, None, seed=0, progress=silent)
        assert repair.after["trusted accuracy"] > 0.8
        parted.append(float(pushed_apart(lesson, repair.overlay, places, 0.05)))
    assert parted[0] < 0.9 * parted[1]


def test_recorded_answers_are_asked_anew():
    items = tuple(Conversation((Turn("user", text),), "said") for text in ("a", "b"))
    fresh = anew(Conversations(items, ["0", "1"]))
    assert [each.answer for each in fresh.items] == [None, None]
    assert anew(fresh).items == fresh.items
