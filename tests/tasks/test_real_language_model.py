"""A language model that others trained: padding changes no score, and it speaks its language."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from anomech.data.conversations import of_prompts
from anomech.kernel.types import PAD, silent
from anomech.observing.observed import observe
from anomech.observing.preparing import prepared
from anomech.sources.hugging_face import HuggingFace
from anomech.tasks.causal_lm import CausalLM
from anomech.tracing.gradient import Gradient

DATA = Path(os.environ.get("ANOMECH_DATA", "nowhere"))
FOLDER = DATA / "lm" / "stories260k-hf"

pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="ANOMECH_DATA names no folder with lm/stories260k-hf"
)


@pytest.fixture(scope="module")
def stories():
    lines = (DATA / "text" / "tinystories_sample.jsonl").read_text("utf-8").splitlines()[:24]
    words = [json.loads(line)["text"].split() for line in lines]
    return of_prompts([" ".join(each[: 3 + 2 * place]) for place, each in enumerate(words)])


@pytest.fixture(scope="module")
def task(stories):
    opened = HuggingFace(folder=str(FOLDER)).open()
    return prepared(CausalLM(opened.model.network, opened.model.tokenizer), stories)


def test_who_else_is_in_a_batch_changes_no_score(task, stories):
    together = observe(task, stories)
    traces = Gradient().fit(task, stories, together.answers, seed=0, progress=silent)
    values = traces(stories, together.answers, silent).values
    for place in (0, 9, 23):
        own = task.respond({}, stories.load(np.array([place])))
        row = together.answers[place]
        assert own.answers[0].tolist() == row[row != PAD].tolist()
        torch.testing.assert_close(
            own.log_odds[0].double(), together.log_odds[place], atol=1e-4, rtol=1e-4
        )
        single = of_prompts([stories.items[place].turns[0].content])
        alone = traces(single, row[None], silent).values[0]
        torch.testing.assert_close(
            alone, values[place], atol=1e-4 * float(alone.abs().max()), rtol=1e-2
        )


def test_stories_go_on_in_words(task, stories):
    said = task.words(observe(task, stories).answers)
    letters = "".join(said)
    assert sum(letter.isalpha() or letter in " ,.'!?\"" for letter in letters) > 0.97 * len(letters)
    assert any(" the " in f" {each} " for each in said)
