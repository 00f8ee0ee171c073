"""Baselines that look at the words of texts: what is put in, what is taken out."""

import numpy as np
import pytest
import torch
from language_models import NAMES, byte_tokenizer, classifier, decoder, saved

from anomech.data.texts import Text, Texts
from anomech.detectors.onion import Onion, mean_losses
from anomech.detectors.strip_vita import StripVita, replaced
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.observing.observed import observe
from anomech.roles.task import Features
from anomech.roles.worded import Worded
from anomech.tasks.text_classifier import TextClassifier

WORDS = ("alpha", "beta", "gamma", "delta", "film", "story", "good", "bad", "long", "short")


def some(count, seed):
    rng = np.random.default_rng(seed)
    items = tuple(Text(" ".join(rng.choice(WORDS, 6))) for _ in range(count))
    return Texts(items, [str(place) for place in range(count)])


@pytest.fixture(scope="module")
def seen():
    task = TextClassifier(classifier("bert"), byte_tokenizer(), tuple(NAMES.values()))
    return observe(task, some(30, 0))


def test_words_come_and_go_and_pairs_keep_their_second_text(seen):
    batch = (Text("a b  c", "and this"), Text(""))
    assert Worded in seen.task.provides
    assert seen.task.worded(batch) == [["a", "b", "c"], []]
    first, second = seen.task.reworded(batch, [["x", "c"], []])
    assert (first.text, first.pair, second.text) == ("x c", "and this", "")


def test_a_share_of_the_words_is_replaced_by_what_is_there():
    words, other = [f"w{place}" for place in range(10)], ("x", "y")
    found = replaced(words, other, 0.3, 0, 0)
    changed = [one for one, two in zip(found, words, strict=True) if one != two]
    assert len(changed) == 3
    assert set(changed) <= set(other)
    assert found == replaced(words, other, 0.3, 0, 0) != replaced(words, other, 0.3, 0, 1)
    assert replaced([], other, 0.5, 0, 0) == []
    assert replaced(words, (), 0.5, 0, 0) == words


def test_an_answer_that_no_words_move_has_the_highest_score(seen):
    """A text of one repeated word that decides keeps it; its answer stays surer than of others."""
    fitted = StripVita(blends=6).fit(seen, seed=0, progress=silent)
    found = fitted.score(seen, silent).score
    assert found.shape == (30,)
    assert bool((found <= 0).all())
    again = fitted.score(seen.take(np.arange(29, -1, -1)), silent).score
    torch.testing.assert_close(again.flip(0), found, atol=1e-5, rtol=1e-4)
    assert fitted.evaluations == 6
    assert Features in seen.task.provides


@pytest.fixture(scope="module")
def reads(tmp_path_factory):
    """A language model that has learned how words go on, in its folder."""
    tokenizer, model = byte_tokenizer(), decoder("llama")
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(0.3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(60):
        texts = [each.text[:24] for each in some(16, 100 + step).items]
        ids = torch.tensor([tokenizer(text)["input_ids"] for text in texts])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return saved(tmp_path_factory.mktemp("reads") / "model", model.eval(), tokenizer)


def test_a_word_out_of_place_is_noticed_by_a_language_model(seen, reads):
    fitted = Onion(language_model=str(reads)).fit(seen, seed=0, progress=silent)
    usual = fitted.score(seen, silent).score
    items = tuple(
        Text(f"{each.text[:11]} zqxj {each.text[11:]}") for each in seen.examples.items[:10]
    )
    odd = observe(seen.task, Texts(items, [str(place) for place in range(10)]))
    assert fitted.score(odd, silent).score.median() > usual.quantile(0.9)
    assert fitted.drop(["alone"]) == 0


def test_a_mean_loss_is_that_of_its_own_tokens(seen, reads):
    network, tokenizer = (
        Onion(language_model=str(reads)).fit(seen, seed=0, progress=silent).language
    )
    both = mean_losses(network, tokenizer, ["alpha beta", "film"])
    alone = mean_losses(network, tokenizer, ["film"])
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-4)


def test_onion_asks_for_its_language_model(seen):
    with pytest.raises(ConfigError, match=r"language_model=FOLDER"):
        Onion().fit(seen, seed=0, progress=silent)
