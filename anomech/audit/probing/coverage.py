"""Which answers trusted examples can explain at all.

An answer that no trusted example shares is unlike anything trusted, whatever its cause, so a clean
input with it would be flagged. Such answers are not judged.
"""

from collections.abc import Sequence

import torch
from scipy.stats import chi2
from torch import Tensor

from anomech.records import Finding

LEAST = 2
"""Correctly answered examples to learn from that a class needs: each of them is compared with the
others of its class. How many are enough beyond depends on the other classes, see `misjudged`."""

SHOWN = 12

SMALL = 0.5
"""Share of the usual number of anchors a class below which a class counts as small."""

CHANCE = 0.01
"""A small class is not judged with all others where p-values of its own trusted examples are as
low, all together, as those of one normal class in a hundred."""


def misjudged(p_values: Tensor, groups: Tensor, anchors: Tensor) -> Tensor:
    """Small groups whose own calibration examples look unusual, ascending int64.

    A class with far fewer anchors than others is explained worse, whatever the input. Only small
    classes are asked: in a large one it would be the inputs that differ. The p-values are combined
    as Fisher's, whose log-likelihood all of them add to: a dozen examples are too few to count
    those below a level.

    Args:
        p_values: of calibration examples among themselves `[calibration]`.
        groups: of their answers.
        anchors: groups of the anchors' answers `[anchors]`.
    """
    found = []
    kinds, counts = anchors.unique(return_counts=True)
    for kind in kinds[counts < SMALL * counts.double().median()].tolist():
        own = p_values[groups == kind].double()
        if len(own) and chi2.sf(-2 * float(own.log().sum()), 2 * len(own)) < CHANCE:
            found.append(kind)
    return torch.tensor(found, dtype=torch.int64)


def covered(groups: Tensor, least: int = LEAST) -> Tensor:
    """Groups with enough anchors, ascending int64.

    Args:
        groups: of the anchors' answers, int64 `[anchors]`.
        least: anchors that are enough.
    """
    kinds, counts = groups.unique(return_counts=True)
    return kinds[counts >= least]


def probe(known: Tensor, names: Sequence[str]) -> list[Finding]:
    """A finding that names the classes without enough trusted examples.

    Args:
        known: classes with enough of them.
        names: of all classes.
    """
    open_ = torch.ones(len(names), dtype=torch.bool)
    open_[known] = False
    missing = [f"'{names[place]}'" for place in torch.nonzero(open_)[:, 0].tolist()]
    if not missing:
        return []
    one, listed = len(missing) == 1, _listed(missing)
    return [
        Finding(
            code="not-covered",
            severity="medium",
            title=f"{len(missing)} of {len(names)} classes {'is' if one else 'are'} not covered by "
            "trusted examples",
            detail=f"There are fewer than {LEAST} correctly answered ones to learn from of "
            f"{listed}. Inputs with {'this answer' if one else 'these answers'} are inconclusive.",
            action=f"Add trusted examples of {'it' if one else 'them'}; half of those given "
            "calibrate and are not learned from.",
        )
    ]


def probe_misjudged(names: Sequence[str], *, judged: bool) -> list[Finding]:
    """A finding that names classes whose own trusted examples look unusual.

    Args:
        names: of the groups from `misjudged`.
        judged: whether they are judged beside their own examples; else they are inconclusive.
    """
    if not names:
        return []
    listed, one = _listed([f"'{name}'" for name in names]), len(names) == 1
    answers = "this answer" if one else "these answers"
    return [
        Finding(
            code="judged-apart" if judged else "not-covered",
            severity="low" if judged else "medium",
            title=f"Trusted examples of {len(names)} class{'' if one else 'es'} look unusual among "
            "trusted examples",
            detail=f"Far more than the budget of those answered {listed} would be flagged: there "
            "are far fewer of them than of others, and where the class is the target of a backdoor "
            "its honest inputs are unusual too. "
            + (
                f"Inputs with {answers} are judged by how far they lead over the class's own "
                "trusted examples, which misses more."
                if judged
                else f"Inputs with {answers} are inconclusive."
            ),
            action="Add trusted examples of what is named.",
        )
    ]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:SHOWN]) + (", ..." if len(words) > SHOWN else "")
