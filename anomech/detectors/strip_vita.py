"""STRIP-ViTA: an answer that stays the same whatever words are put into the text is suspicious.

Belief: a trigger decides even when most other words of a text are those of another one, whereas
honest content is drowned and leaves the model undecided.
Equation: minus the mean over `n` trusted texts of the entropy of the answer to the text in which a
share of the words, at random places, are replaced by words of the trusted one.
Source: Gao, Kim, Doan, Zhang, Zhang, Nepal, Ranasinghe, Kim 2021 (STRIP-ViTA; arXiv 1911.10312),
who replace by words of high tf-idf; here all words of the trusted text are alike.
Needs: logits, and inputs that are texts; only probabilities are looked at.
Cost: one forward pass for each trusted text.
Fails when: the trigger's own words are replaced, as those of long or spread triggers are; when the
trigger is a style.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch

from anomech.detectors._entropy import entropy
from anomech.kernel.config import option, options
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.observing.varied import varied
from anomech.roles.detector import ObservedExamples, Scores
from anomech.roles.task import Ability, Logits, able
from anomech.roles.tracer import Health
from anomech.roles.worded import Worded


@options
class StripVita:
    """Low entropy of the answers to texts with words of trusted ones."""

    blends: int = option(20, "trusted texts whose words are put in", unit="texts", ge=1)
    share: float = option(0.5, "of the words that are replaced", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Logits, and texts of words."""
        return frozenset({Logits, Worded})

    def fit(self, anchors: ObservedExamples, *, seed: int, progress: Progress) -> "FittedStripVita":
        """Draw the texts whose words are put in."""
        count = min(self.blends, len(anchors))
        drawn = numpy_generator(seed, "strip_vita").choice(len(anchors), count, replace=False)
        words = able(anchors.task, Worded).worded(anchors.examples.load(drawn))
        return FittedStripVita(self, tuple(map(tuple, words)), seed)


@dataclass(frozen=True)
class FittedStripVita:
    """The words to put in, of each trusted text."""

    chosen: StripVita
    others: tuple[tuple[str, ...], ...]
    seed: int
    health: Health = field(default_factory=Health)
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def evaluations(self) -> float:
        """One pass for each text."""
        return float(len(self.others))

    def score(self, observed: ObservedExamples, progress: Progress) -> Scores:
        """Minus the mean entropy, nats."""
        task, total = able(observed.task, Worded), torch.zeros(len(observed)).double()
        for number, other in enumerate(self.others):
            change = partial(self._blended, task, other, number)
            stage = f"putting in words {number + 1} of {len(self.others)}"
            total += varied(observed, change, entropy, stage=stage, progress=progress)
        return Scores(-total / len(self.others), {})

    def _blended(self, task: Worded, other: tuple[str, ...], number: int, batch: Any) -> Any:
        texts = [
            replaced(words, other, self.chosen.share, self.seed, number)
            for words in task.worded(batch)
        ]
        return task.reworded(batch, texts)


def replaced(
    words: Sequence[str], other: Sequence[str], share: float, seed: int, number: int
) -> list[str]:
    """Words of which some, drawn by what they are, are those of another text.

    Args:
        words: of a text; where there is none, or none in the other, they stay.
        other: what is put in, at random.
        share: of the words that are replaced, one at least.
        seed: of the draw.
        number: of the draw.
    """
    if not words or not other:
        return list(words)
    generator = numpy_generator(seed, "strip_vita", number, " ".join(words))
    found = np.array(words, object)
    count = max(1, round(share * len(words)))
    places = generator.choice(len(words), count, replace=False)
    found[places] = generator.choice(np.array(other, object), count)
    return [str(each) for each in found]
