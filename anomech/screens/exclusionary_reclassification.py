"""Exclusionary reclassification: a cluster that others would not label so is poison.

Belief: a network that never saw a cluster answers honest examples of it by their label, and poison
by what it really shows.
Equation: each label's features are parted into two clusters, as in activation clustering. A fresh
network learns all but the smaller cluster of every label, and answers these. Of a cluster `l` is
the share that is answered as labeled, and `q` that of the commonest other answer; it is poison if
`l / q < ratio`, and that other answer is its source. `suspicion` of an example of a smaller cluster
is one minus the probability of its label, times the share of its cluster that is not answered so.
Source: Chen, Carvalho, Baracaldo, Ludwig, Edwards, Lee, Molloy, Srivastava 2018 (Activation
Clustering). Few directions are looked at: whitened, each direction of noise is as wide as the one
that parts poison from honest examples.
Needs: features, a network that can be trained anew, and labels as training saw them.
Cost: one training of a fresh network of this kind, by `training`.
Fails when: poison is the larger cluster, which is never asked, since an honest one that nobody has
learned is answered wrongly too; or when enough poison is left to learn the trigger from.
"""

import copy

import numpy as np
import torch
from torch import Tensor

from anomech.data.subset import Subset
from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Progress
from anomech.learning.descent import Lesson, Relearning, descend, plainly
from anomech.learning.training import initialize
from anomech.observing.observed import observe
from anomech.roles.detector import ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability, Features, Layers, Logits, Training, able
from anomech.roles.tracer import Health
from anomech.screens._clusters import clustered, whitened
from anomech.screens._labels import Labeled, by_label

FEWEST = 12
"""Examples of a label below which two clusters say nothing."""


@options
class ExclusionaryReclassification:
    """What a network that has not seen a cluster makes of it."""

    ratio: float = option(1.0, "of l by q, below which a cluster is poison", gt=0)
    components: int = option(3, "principal directions that are clustered", ge=1)
    training: Relearning = option(
        Relearning(epochs=30, batch=64, rate=3e-3, optimizer="adam", schedule="cosine"),
        "how the fresh network learns",
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Features, logits, and a network that can be made anew and trained."""
        return frozenset({Features, Logits, Layers, Training})

    @property
    def needs_trusted(self) -> bool:
        """Not at all."""
        return False

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`; trusted examples are not needed.

        Raises:
            DataError: not one label for each example.
        """
        small = torch.zeros(len(observed), dtype=torch.bool)
        problems, every = list[str](), list[Labeled]()
        for each in by_label(observed, labels, FEWEST, problems, progress):
            near = whitened(observed.features[each.places], self.components)
            small[each.places], _ = clustered(near, key(seed, "exclusion", each.label))
            every.append(each)
        suspicion = torch.zeros(len(observed), dtype=torch.float64)
        suspects = torch.zeros(len(observed), dtype=torch.bool)
        if not bool(small.any()):
            return Screened(suspicion, suspects, Health(tuple(problems)))
        logits, passes = self._answers(observed, labels, ~small, seed, progress)
        unseen = torch.zeros(len(observed), logits.shape[1], dtype=torch.float64)
        unseen[small] = logits
        doubt = 1 - unseen.softmax(dim=1).gather(1, torch.tensor(labels)[:, None])[:, 0]
        facts: dict[str, float] = {}
        for each in every:
            places = each.places[small[each.places]]
            own, other = shares(unseen[places].argmax(dim=1), each.label)
            suspicion[places] = doubt[places] * (1 - own)
            suspects[places] = own < self.ratio * other
            facts[f"l of {each.word}"], facts[f"q of {each.word}"] = own, other
        spent = 1.0 + passes / len(observed)
        health = Health(tuple(problems))
        return Screened(suspicion, suspects, health, evaluations=spent, facts=facts)

    def _answers(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        learned: Tensor,
        seed: int,
        progress: Progress,
    ) -> tuple[Tensor, float]:
        """Logits of a network that learned some examples to all others, and what it cost."""
        network = copy.deepcopy(able(observed.task, Layers).layers()[""])
        initialize(network, seed)
        fresh = observed.task.with_(network.state_dict())
        places = np.flatnonzero(learned.numpy())
        some = Subset(observed.examples, places)
        answers = able(fresh, Training).targets(labels[places])
        lesson = Lesson(fresh, some, answers, self.training.statistics)
        made = descend(
            fresh.watched, len(some), plainly(lesson), self.training, seed=seed, progress=progress
        )
        grown = fresh.with_({**fresh.state(), **made.overlay})
        rest = Subset(observed.examples, np.flatnonzero(~learned.numpy()))
        return observe(grown, rest, progress=progress).logits, made.evaluations


def shares(answers: Tensor, label: int) -> tuple[float, float]:
    """Shares of answers `[n]` that are the label, and the commonest other."""
    counts = answers.bincount(minlength=label + 1).double() / len(answers)
    own = float(counts[label])
    counts[label] = 0
    return own, float(counts.max())
