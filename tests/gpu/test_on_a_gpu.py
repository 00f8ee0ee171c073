"""That methods run where the model is on a GPU; skipped where there is none."""

import numpy as np
import pytest
import torch
from language_models import ByteTokenizer, decoder

from anomech.audit.judge.detectors import make_detector
from anomech.data.conversations import Conversations, prompt
from anomech.detectors.functional_attribution import FunctionalAttribution
from anomech.kernel import plugins
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.tasks.causal_lm import CausalLM
from anomech.tasks.image_classifier import ImageClassifier

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


@pytest.mark.parametrize("name", plugins.names("detector"))
def test_every_detector_of_pictures_scores_on_a_gpu(name, digits_world):
    method, task = make_detector(name, {}), ImageClassifier(digits_world.model, device="cuda")
    if not method.needs <= task.provides:
        pytest.skip(f"{name} does not look at pictures")
    trusted = observe(task, digits_world.trusted).take(np.arange(60))
    clean = observe(task, digits_world.clean).take(np.arange(8))
    scores = method.fit(trusted, seed=0, progress=silent).score(clean, silent)
    assert torch.isfinite(scores.score).all()
    assert scores.score.device.type == "cpu"


def test_the_default_detector_of_sequences_scores_on_a_gpu():
    said = [f"Say {word} to {name}" for word in ("hello", "no") for name in "ABCDEFGHIJKLMNOP"]
    examples = Conversations(tuple(map(prompt, said)), [f"e{place}" for place in range(len(said))])
    task = CausalLM(decoder("llama"), ByteTokenizer(), tokens=4, device="cuda").prepared(examples)
    seen = observe(task, examples)
    right = torch.ones(len(seen), dtype=torch.bool)
    fitted, scores = FunctionalAttribution().fit_held_out(seen, right, seed=0, progress=silent)
    assert torch.isfinite(scores.score).all()
    assert torch.isfinite(fitted.score(seen, silent).score).all()
