"""Functional attribution: training answers that trusted examples do not explain, but each other.

Belief: poison is answered by a mechanism that trusted examples do not have, and all of its
examples have the same one, which single inputs at inference do not show.
Equation: two views, each a surprise against trusted examples judged held out. *Alone*: the
score of the detector. *Together*: per label, of the responses' part that anchors do not explain,
`u`, the direction `v` in which one half of the label varies most beyond its trusted examples;
`(u . v)^2` in the other half, less the trusted mean, by their spread, times its excess. `suspicion`
combines both as the detector combines its views. Suspects are *kin* of examples whose q-value
(Benjamini and Hochberg) by the first is at most half of `discovery`: with the nearest two of these
of its label such an example starts a group, of those whose `u` is more like the group's than like
the others' by the cut that parts them best (Otsu), again until it stays. A group counts if it keeps
who started it and at most `discovery` of it is honest, if honest examples lie in it as often as
trusted ones of the label do: what is odd and honest has kin among them, poison has not.
Source: this project; attribution failure as the signal is of Lyons Keenan, Leckie, Erfani (2026).
Needs: what its detector needs, trusted examples with labels, and labels as training saw them.
Cost: that of the detector.
Fails when: the trusted set holds the mechanism, or the model did not learn the trigger.
"""

import numpy as np
import torch
from torch import Tensor

from anomech.attribution.kinship import kin
from anomech.calibration.combining import fit_combination
from anomech.calibration.discovery import benjamini_hochberg
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError, DataError
from anomech.kernel.plugins import chosen
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Progress
from anomech.roles.detector import Detector, ExplainingDetector, HeldOutDetector, ObservedExamples
from anomech.roles.screen import Screened
from anomech.roles.task import Ability
from anomech.screens._labels import check_labels

FLOOR = 1e-3
"""Added to the spread of trusted projections, squared lengths of at most one."""

FEWEST = 4
"""Trusted examples of a label below which its spread is that of all labels."""


@options
class FunctionalAttribution:
    """What trusted examples do not explain, and what explains each other."""

    detector: Detector = chosen("detector", "functional_attribution", "judges each example alone")
    discovery: float = option(0.1, "share of false suspects among them", gt=0, le=1)

    @property
    def needs(self) -> frozenset[Ability]:
        """Those of the detector."""
        return self.detector.needs

    @property
    def needs_trusted(self) -> bool:
        """Always."""
        return True

    def screen(
        self,
        observed: ObservedExamples,
        labels: np.ndarray,
        trusted: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Screened:
        """See `anomech.roles.screen.Screen`.

        Raises:
            DataError: not one label for each example, or no trusted examples.
            ConfigError: a detector that cannot judge trusted examples held out.
        """
        check_labels(observed, labels)
        if trusted is None or trusted.examples.labels is None:
            raise DataError(
                "functional attribution compares with trusted examples; give some with labels."
            )
        right = trusted.task.agrees(trusted.answers, trusted.examples.labels)
        detector = _held_out(self.detector)
        fitted, held = detector.fit_held_out(trusted, right, seed=seed, progress=progress)
        views = {"alone": held.score}
        found = {"alone": fitted.score(observed, progress).score}
        facts, unexplained = {}, None
        if isinstance(fitted, ExplainingDetector):
            known = trusted.groups.numpy()
            rest, usual = (
                fitted.unexplained(each, progress).double() for each in (observed, trusted)
            )
            unexplained = rest, usual, known
            shared = together(rest, labels, usual, known, seed)
            found["together"], views["together"], excess = shared
            words = observed.task.group_words(torch.tensor(list(excess), dtype=torch.int64))
            facts = {
                f"shared beyond trusted by {word}": value
                for word, value in zip(words, excess.values(), strict=True)
            }
        combination = fit_combination(views)
        score = combination.score(combination.surprises(found))
        # By the first view: what the model was trained on shares something beyond unseen trusted
        # examples, poison or not. Extrapolated, as ranks cannot tell one in a thousand.
        surprise = combination.tails["alone"].surprise(found["alone"])
        false = benjamini_hochberg((-surprise).exp())
        suspects = false <= self.discovery
        if unexplained is not None:
            seeds = false <= self.discovery / 2
            suspects = self._kin(seeds, surprise, labels, *unexplained)
        return Screened(
            score,
            suspects,
            fitted.health,
            evaluations=1.0 + fitted.evaluations,
            facts=facts,
            discovery=self.discovery,
        )

    def _kin(
        self,
        started: Tensor,
        surprise: Tensor,
        labels: np.ndarray,
        rest: Tensor,
        usual: Tensor,
        known: np.ndarray,
    ) -> Tensor:
        """Kin of the examples that start groups, label by label, bool `[examples]`."""
        suspects = torch.zeros_like(started)
        for label in np.unique(labels[started.numpy()]):
            own, theirs = (torch.from_numpy(np.flatnonzero(e == label)) for e in (labels, known))
            seeds = torch.nonzero(started[own])[:, 0]
            seeds = seeds[surprise[own[seeds]].argsort(descending=True, stable=True)]
            compared = usual[theirs] if len(theirs) >= FEWEST else usual
            suspects[own] = kin(rest[own], compared, seeds, self.discovery)
        return suspects


def together(
    rest: Tensor, labels: np.ndarray, usual: Tensor, known: np.ndarray, seed: int
) -> tuple[Tensor, Tensor, dict[int, float]]:
    """How far examples of a label share a direction that nothing trusted explains.

    Each half of a label is looked at along the direction that the other half found: a direction
    fits best those that it was found by, poison or not.

    Args:
        rest: unexplained parts of the responses `[examples, features]`.
        labels: of the examples.
        usual: the same of trusted examples `[trusted, features]`.
        known: their labels.
        seed: of the halves.

    Returns:
        The view of the examples `[examples]`, that of the trusted `[trusted]`, and each label's
        excess of variance.
    """
    mine, theirs = rest.new_zeros(len(rest)), rest.new_zeros(len(usual))
    excess = {}
    for label in np.unique(labels):
        own = np.flatnonzero(known == label)
        compared = usual[own] if len(own) >= FEWEST else usual
        shuffled = numpy_generator(seed, "halves", int(label)).permutation(
            np.flatnonzero(labels == label)
        )
        halves, sizes = np.array_split(shuffled, 2), []
        for half, other in (halves, halves[::-1]):
            if not len(half) or not len(other):
                continue
            along, honest = (
                (each @ widest(rest[other], compared)).square() for each in (rest[half], compared)
            )
            size = max(float(along.mean() - honest.mean()), 0.0)
            scale = size / (float(honest.std()) + FLOOR)
            mine[half] = (along - honest.mean()) * scale
            if len(own) >= FEWEST:
                theirs[own] += (honest - honest.mean()) * scale / 2
            sizes.append(size)
        excess[int(label)] = float(np.mean(sizes)) if sizes else 0.0
    return mine, theirs, excess


def widest(rows: Tensor, usual: Tensor) -> Tensor:
    """The direction `[d]` in which rows vary most beyond others.

    The second moments' difference has rank `n + m` at the most, so it is looked at in their span.
    """
    stacked = torch.cat([rows / len(rows) ** 0.5, usual / len(usual) ** 0.5])
    signs = torch.cat([rows.new_ones(len(rows)), -rows.new_ones(len(usual))])
    basis, sizes, turned = torch.linalg.svd(stacked.T, full_matrices=False)
    inside = sizes[:, None] * turned
    _, vectors = torch.linalg.eigh((inside * signs) @ inside.T)
    return basis @ vectors[:, -1]


def _held_out(detector: Detector) -> HeldOutDetector:
    """The detector, which judges trusted examples held out.

    Raises:
        ConfigError: it does not.
    """
    if not isinstance(detector, HeldOutDetector):
        raise ConfigError(
            "the screen needs a detector that judges trusted examples held out; use "
            "detector=functional_attribution."
        )
    return detector
