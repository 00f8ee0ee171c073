"""How hard a repair may push: as hard as trusted examples bear that it does not learn from.

Pushed at gently, a mechanism is hushed and comes back from a few poisoned examples; pushed at too
hard, the model loses its task, and how hard that is differs tenfold between networks. So the
bound on every step starts high and falls until accuracy holds, as far as examples kept aside can
tell: what chance may have cost is no reason to push more gently.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from anomech.calibration.borne import borne
from anomech.data.subset import Subset
from anomech.kernel.errors import ConfigError, ModelError
from anomech.kernel.types import Overlay
from anomech.learning.answering import right
from anomech.learning.descent import Descended
from anomech.mitigations._trusted import Trusted

BOUNDS = (1.0, 0.1, 0.01)
"""Gradients at most, as shares of each weight's length, from hard to gentle."""

BORNE = 0.03
"""Accuracy on examples kept aside that a push may cost."""


class Pushed(NamedTuple):
    """The hardest push that accuracy bears.

    Attributes:
        overlay: the tensors after it.
        bound: of its steps.
        evaluations: forward passes of one example each, of all pushes and of choosing among them.
        refused: the gentlest bound above it, which cost too much accuracy; None if there is none.
    """

    overlay: Overlay
    bound: float
    evaluations: float
    refused: float | None = None

    @property
    def settled(self) -> dict[str, list[float]]:
        """Options with which the same push is made again."""
        return {"bounds": [self.bound]}

    @property
    def harder(self) -> dict[str, list[float]]:
        """Options with which it is pushed by the bound that was refused."""
        return {} if self.refused is None else {"bounds": [self.refused]}


def hardest(
    parts: Trusted,
    bounds: Sequence[float],
    push: Callable[[float], Descended],
    below: Overlay | None = None,
) -> Pushed:
    """The first push that costs no more accuracy than may be; of none such the cheapest.

    Args:
        parts: trusted examples; those kept aside decide.
        bounds: that are tried, in this order.
        push: from a bound to where the descent ended.
        below: tensors that the push starts from and does not move.

    Raises:
        ModelError: every push diverged.
        ConfigError: no bounds, or one that lets nothing move.
    """
    if not bounds or min(bounds) <= 0:
        raise ConfigError("bounds takes one number at least, each greater than 0, such as 0.1.")
    kept, labels = Subset(parts.examples, parts.kept), parts.labels[parts.kept]
    before = right(parts.task, kept, labels, {})
    spent, made, failure = float(len(kept)), [], None
    for bound in bounds:
        try:
            found = push(bound)
        except ModelError as error:
            failure = error
            continue
        overlay = {**(below or {}), **found.overlay}
        lost, chance = _lost(before, right(parts.task, kept, labels, overlay))
        spent += found.evaluations + len(kept)
        made.append((lost, overlay, bound))
        if borne(lost, BORNE + chance, len(kept)):
            return Pushed(overlay, bound, spent, _above(bound, made))
    if failure is not None and not made:
        raise failure
    _, overlay, bound = min(made, key=lambda each: each[0])
    return Pushed(overlay, bound, spent, _above(bound, made))


def _above(bound: float, made: Sequence[tuple[float, Overlay, float]]) -> float | None:
    """The gentlest of harder bounds."""
    return min((each for _, _, each in made if each > bound), default=None)


def _lost(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """Accuracy lost on the same examples, and its standard error."""
    changed = before.astype(float) - after
    return float(changed.mean()), float(changed.std() / np.sqrt(len(changed)))
