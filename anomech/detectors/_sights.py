"""Views of what a tracer saw on its way: `Traces.sights` by name, and what each of them stands for.

A new view of sequences is a number or more in `anomech.tracing._reading` and a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.density import Density, fit_density, one_sided
from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import (
    Centers,
    Context,
    Usual,
    fit_centers,
    fit_usual,
    held_out,
)
from anomech.calibration.combining import Weighing
from anomech.calibration.tails import HEAVIEST
from anomech.detectors._causes import BEYOND, ELSEWHERE, HANGS, READS, UNEXPLAINED, UNFAMILIAR
from anomech.roles.detector import Cause

DIFFERENT: Mapping[str, Cause] = {"where": ELSEWHERE}
"""Sights that are judged by how different they are, to any side."""

HIGH: Mapping[str, Cause] = {
    "lacking": UNEXPLAINED,
    "reads": READS,
    "beyond": BEYOND,
}
"""Sights whose large values alone are suspicious, at the own answer and confidence."""

ANYHOW: Mapping[str, Cause] = {"unfamiliar": UNFAMILIAR}
"""Sights whose large values are suspicious whatever the answer and the confidence: unfamiliar
inputs flock to some answers, and what is usual for those would hide them."""


WEIGHING = Weighing(
    views={
        **{UNEXPLAINED.name: 1.0, HANGS.name: 1.0, BEYOND.name: 1.0},
        **{ELSEWHERE.name: 0.6, UNFAMILIAR.name: 0.1},
    },
    others=0.3,
    together=0.3,
    heaviest=HEAVIEST,
)
"""How views of sequences are combined. The one-sided ones of what makes the answer count in full;
where it sits less, since other lengths and forms move it; two-sided ones still less, since honest
generations scatter far to all sides; that the input is odd least, since it says nothing of the
answer. Tails may be heavy: a few honest
generations lie far beyond the exponential tail of some views, and would drown the others."""

DROP = 1.0
"""Nats of log-odds that an answer must lose without the strangest words to hang on them wholly."""


SUPPORT = tuple(STATISTICS.index(name) for name in ("explained_own", "explained", "nearest"))


def lacking(profile: Tensor) -> Tensor:
    """Three kinds of support that a response lacks, each averaged over the parts `[n, 3]`.

    Where answers are generated, few share what they begin with: means over the ten nearest, or over
    all, then say more about how common an answer is than about how it comes about.

    Args:
        profile: `[n, parts * statistics]`, see `anomech.attribution.profile`.
    """
    return -profile.unflatten(1, (-1, len(STATISTICS)))[:, :, list(SUPPORT)].mean(dim=1)


@dataclass(frozen=True)
class High:
    """High at the example's own answer and confidence, summed over the columns."""

    usual: Usual

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of values `[n, d]`, nats `[n]`."""
        return one_sided(self.usual.standardized(values, at)).sum(dim=1)


@dataclass(frozen=True)
class Anyhow:
    """High at all, summed over the columns."""

    centers: Centers

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of values `[n, d]`, nats `[n]`."""
        return one_sided(self.centers.standardized(values, 0 * at.groups)).sum(dim=1)


@dataclass(frozen=True)
class Hanging:
    """High at all, as far as the answer hangs on it."""

    anyhow: Anyhow

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of values and, last, the log-odds lost without what they stand for `[n, d + 1]`."""
        return self.anyhow(values[:, :-1], at) * (values[:, -1] / DROP).clamp(0, 1)


def fit_hanging(values: Tensor, at: Context) -> Hanging:
    """Fit to held-out values of trusted examples and their losses `[n, d + 1]`."""
    return Hanging(fit_anyhow(values[:, :-1], at))


def fit_anyhow(values: Tensor, at: Context) -> Anyhow:
    """Fit to held-out values of trusted examples `[n, d]`."""
    return Anyhow(fit_centers(values, 0 * at.groups))


def fit_high(values: Tensor, at: Context) -> High:
    """Fit to held-out values of trusted examples `[n, d]`."""
    return High(fit_usual(values, at))


@dataclass(frozen=True)
class Sights:
    """Fits to all trusted examples, by name of the sight."""

    different: Mapping[str, Density]
    high: Mapping[str, High]
    anyhow: Mapping[str, Anyhow]
    hanging: Hanging | None

    def views(self, seen: Mapping[str, Tensor], at: Context) -> dict[str, Tensor]:
        """The value of every view `[n]` by the name of its cause; higher is more anomalous."""
        found = {
            DIFFERENT[name].name: judge(seen[name].double(), at)
            for name, judge in self.different.items()
        }
        found |= {
            HIGH[name].name: judge(seen[name].double(), at) for name, judge in self.high.items()
        }
        for name, anyhow in self.anyhow.items():
            found[ANYHOW[name].name] = anyhow(seen[name].double(), at)
        if self.hanging is not None:
            found[HANGS.name] = self.hanging(_hanging_on(seen), at)
        return found


def fit_sights(seen: Mapping[str, Tensor], at: Context) -> tuple[Sights, Mapping[str, Tensor]]:
    """Fit to what was seen of trusted examples.

    Returns:
        The fits to all of them, and every view of each example by a fit to others.
    """
    views = dict[str, Tensor]()
    different, high, anyhow = dict[str, Density](), dict[str, High](), dict[str, Anyhow]()
    for name, values in ((name, each.double()) for name, each in seen.items()):
        if name in DIFFERENT:
            views[DIFFERENT[name].name], different[name] = held_out(values, at, fit_density)
        elif name in HIGH:
            views[HIGH[name].name], high[name] = held_out(values, at, fit_high)
        elif name in ANYHOW:
            views[ANYHOW[name].name], anyhow[name] = held_out(values, at, fit_anyhow)
    hanging = None
    if {"unfamiliar", "hangs"} <= seen.keys():
        views[HANGS.name], hanging = held_out(_hanging_on(seen), at, fit_hanging)
    return Sights(different, high, anyhow, hanging), views


def _hanging_on(seen: Mapping[str, Tensor]) -> Tensor:
    """How strange the strangest words are, and what the answer loses without them."""
    return torch.cat([seen["unfamiliar"], seen["hangs"]], dim=1).double()
