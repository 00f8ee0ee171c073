"""Views: one belief each about what is unusual in a held-out example's statistics.

A view turns statistics `[n, d]` at their contexts into one value `[n]` that grows with anomaly.
One-sided views see what is missing, two-sided ones (`anomech.attribution.density.Density`) what is
merely different; which of them sees a given mechanism depends on the network, so there are several
and none is trusted alone.
"""

from dataclasses import dataclass

from torch import Tensor

from anomech.attribution.density import one_sided
from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import Centers, Context, Usual, fit_centers, fit_usual

SUPPORT = tuple(
    STATISTICS.index(name) for name in ("own", "nearest_ten", "explained", "explained_own")
)


@dataclass(frozen=True)
class Unsupported:
    """Too little support: minus the mean, over parts, of four standardized measures of it."""

    usual: Usual

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of profiles `[n, parts * statistics]`."""
        parts = self.usual.standardized(values, at).unflatten(1, (-1, len(STATISTICS)))
        return -parts[:, :, list(SUPPORT)].mean(dim=(1, 2))


@dataclass(frozen=True)
class Remote:
    """Far, at the example's own answer and confidence: the mean over places of a distance."""

    usual: Usual

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of log distances `[n, places]`."""
        return self.usual.standardized(values, at).mean(dim=1)


@dataclass(frozen=True)
class Forgotten:
    """Forgotten on relearning: the mean standardized drop over the upper half of the rungs."""

    usual: Usual

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of drops of log-odds `[n, rungs]`, from the weakest twin to the strongest."""
        return self.usual.standardized(values, at)[:, values.shape[1] // 2 :].mean(dim=1)


@dataclass(frozen=True)
class Unfamiliar:
    """Far from trusted features, and exciting no class; whatever the answer and the confidence.

    Unfamiliar inputs flock to some answers, and what is usual for those would hide them.
    """

    centers: Centers

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of log distances and minus the energy `[n, 2]`."""
        return one_sided(self.centers.standardized(values, 0 * at.groups)).sum(dim=1)


@dataclass(frozen=True)
class Implausible:
    """Log-odds far from those of trusted examples with the same answer, to either side."""

    centers: Centers

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of log-odds `[n, 1]`."""
        return self.centers.standardized(values, at.groups)[:, 0].abs()


def fit_unsupported(values: Tensor, at: Context) -> Unsupported:
    """Fit to held-out profiles of trusted examples."""
    return Unsupported(fit_usual(values, at))


def fit_remote(values: Tensor, at: Context) -> Remote:
    """Fit to held-out log distances of trusted examples."""
    return Remote(fit_usual(values, at))


def fit_forgotten(values: Tensor, at: Context) -> Forgotten:
    """Fit to held-out drops of trusted examples."""
    return Forgotten(fit_usual(values, at))


def fit_unfamiliar(values: Tensor, at: Context) -> Unfamiliar:
    """Fit to held-out distances and energies of trusted examples."""
    return Unfamiliar(fit_centers(values, 0 * at.groups))


def fit_implausible(values: Tensor, at: Context) -> Implausible:
    """Fit to log-odds of trusted examples."""
    return Implausible(fit_centers(values, at.groups))
