"""Which answers trusted examples can explain at all.

An answer that no trusted example shares is unlike anything trusted, whatever its cause, so a clean
input with it would be flagged. Such answers are not judged.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from anomech.records import Finding

LEAST = 3
"""Correctly answered examples to learn from that a class needs: an example among them is compared
with the others of its class, and with one other alone their scatter is not known."""

SHOWN = 12


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
    one = len(missing) == 1
    listed = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
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
