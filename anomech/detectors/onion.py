"""ONION: a word without which the text is much easier to believe was put there.

Belief: a trigger word is out of place, so a language model that knows no trigger finds the text
likelier without it.
Equation: the largest drop, over the words, of the mean `-log p` of the text's tokens under a
language model when that word is taken out.
Source: Qi, Chen, Li, Yao, Liu, Sun 2021 (ONION; arXiv 2011.10369), with GPT-2; perplexities there,
their logarithm here, which does not grow with the text's own oddness.
Needs: texts of words, and the folder of a causal language model (`language_model`).
Cost: no pass of the model itself; one of the language model for each word.
Fails when: the trigger is a sentence or a style, which reads well as it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.artefacts.hugging_face import load_network, load_tokenizer
from anomech.artefacts.hugging_face_folders import looked_at
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import Progress
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, able
from anomech.roles.tracer import Health
from anomech.roles.worded import Worded

AT_ONCE = 64
"""Texts in a pass of the language model."""


@options
class Onion:
    """How much likelier a text is without its least fitting word."""

    language_model: str = option("", "folder of a causal language model, such as GPT-2")
    most: int = option(100, "first words of a text that are tried", unit="words", ge=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Texts of words."""
        return frozenset({Worded})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedOnion":
        """Nothing is learned from the anchors.

        Raises:
            ConfigError: no language model is named.
            ModelError: it cannot be opened.
        """
        if not self.language_model:
            raise ConfigError(
                "onion asks a language model how well texts read; name its folder with "
                "--set detectors.onion.language_model=FOLDER."
            )
        found = FittedOnion(self)
        _ = found.language
        return found


@dataclass(frozen=True)
class FittedOnion:
    """The options; the language model is opened where it is asked."""

    chosen: Onion
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """None of the model itself."""
        return 0.0

    @cached_property
    def language(self) -> tuple[nn.Module, Any]:
        """The language model and its tokenizer."""
        folder = looked_at(self.chosen.language_model)
        return load_network(folder, dtype="float32"), load_tokenizer(folder.path)

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """The largest drop of the mean loss, nats; 0 of a text of one word."""
        task, found = able(observed.task, Worded), torch.zeros(len(observed)).double()
        for place in range(len(observed)):
            (words,) = task.worded(observed.examples.load(np.array([place])))
            found[place] = self.drop(words)
            progress("taking out words", place + 1, len(observed))
        return Scores(found, {})

    def drop(self, words: Sequence[str]) -> float:
        """The largest drop of the mean loss when one word is taken out, nats."""
        if len(words) < 2:
            return 0.0
        count = min(len(words), self.chosen.most)
        shorter = [" ".join([*words[:at], *words[at + 1 :]]) for at in range(count)]
        losses = mean_losses(*self.language, [" ".join(words), *shorter])
        return max(0.0, float(losses[0] - losses[1:].min()))


@torch.no_grad()
def mean_losses(network: nn.Module, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Mean `-log p` of the tokens of each text after its first, nats, float64 `[texts]`."""
    rows = [tokenizer(text)["input_ids"] for text in texts]
    found = torch.zeros(len(rows)).double()
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        width = max(2, *map(len, some))
        ids = torch.zeros(len(some), width, dtype=torch.int64)
        mask = torch.zeros(len(some), width, dtype=torch.int64)
        for place, row in enumerate(some):  # what fills up stands behind, where none looks
            ids[place, : len(row)], mask[place, : len(row)] = torch.tensor(row), 1
        logits = network(input_ids=ids, attention_mask=mask).logits[:, :-1]
        each = functional.cross_entropy(logits.transpose(1, 2), ids[:, 1:], reduction="none")
        said = mask[:, 1:]
        mean = (each * said).sum(dim=1) / said.sum(dim=1).clamp_min(1)
        found[start : start + len(some)] = mean.double()
    return found
