"""Views of what a tracer saw on its way: `Traces.sights` by name, and what each of them stands for.

A new view of sequences is a number or more in `anomech.tracing._reading` and a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from anomech.attribution.density import Density, fit_density, one_sided
from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import Context, Usual, fit_usual, held_out
from anomech.detectors._causes import ELSEWHERE, READS, UNEXPLAINED, UNFAMILIAR
from anomech.roles.detector import Cause

DIFFERENT: Mapping[str, Cause] = {"where": ELSEWHERE}
"""Sights that are judged by how different they are, to any side."""

HIGH: Mapping[str, Cause] = {"lacking": UNEXPLAINED, "reads": READS, "unfamiliar": UNFAMILIAR}
"""Sights whose large values alone are suspicious."""


def lacking(profile: Tensor) -> Tensor:
    """What trusted examples with the same answer leave unexplained, mean over parts `[n, 1]`.

    Where answers are generated, few share what they begin with: statistics of the ten nearest, or
    of all, then say more about how common an answer is than about how it comes about.

    Args:
        profile: `[n, parts * statistics]`, see `anomech.attribution.profile`.
    """
    own = profile.unflatten(1, (-1, len(STATISTICS)))[:, :, STATISTICS.index("explained_own")]
    return -own.mean(dim=1, keepdim=True)


@dataclass(frozen=True)
class High:
    """High at the example's own answer and confidence, summed over the columns."""

    usual: Usual

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of values `[n, d]`, nats `[n]`."""
        return one_sided(self.usual.standardized(values, at)).sum(dim=1)


def fit_high(values: Tensor, at: Context) -> High:
    """Fit to held-out values of trusted examples `[n, d]`."""
    return High(fit_usual(values, at))


@dataclass(frozen=True)
class Sights:
    """Fits to all trusted examples, by name of the sight."""

    different: Mapping[str, Density]
    high: Mapping[str, High]

    def views(self, seen: Mapping[str, Tensor], at: Context) -> dict[str, Tensor]:
        """The value of every view `[n]` by the name of its cause; higher is more anomalous."""
        two = {
            DIFFERENT[name].name: f(seen[name].double(), at) for name, f in self.different.items()
        }
        one = {HIGH[name].name: fit(seen[name].double(), at) for name, fit in self.high.items()}
        return two | one


def fit_sights(seen: Mapping[str, Tensor], at: Context) -> tuple[Sights, Mapping[str, Tensor]]:
    """Fit to what was seen of trusted examples.

    Returns:
        The fits to all of them, and every view of each example by a fit to others.
    """
    views, different, high = dict[str, Tensor](), dict[str, Density](), dict[str, High]()
    for name, cause in DIFFERENT.items():
        if name in seen:
            views[cause.name], different[name] = held_out(seen[name].double(), at, fit_density)
    for name, cause in HIGH.items():
        if name in seen:
            views[cause.name], high[name] = held_out(seen[name].double(), at, fit_high)
    return Sights(different, high), views
