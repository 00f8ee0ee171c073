"""Views of what a tracer saw on its way: `Traces.sights` by name, and what each of them stands for.

A new view of sequences is a number or more in `anomech.tracing._reading` and a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.density import Density, Tail, fit_density, fit_tail, one_sided
from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import (
    Centers,
    Context,
    Usual,
    fit_centers,
    fit_usual,
    held_out,
)
from anomech.calibration.combining import Panel, Weighing
from anomech.calibration.tails import HEAVIEST
from anomech.detectors._causes import (
    APART,
    BEYOND,
    ELSEWHERE,
    HANGS,
    LONE,
    NOWHERE,
    PROMPT,
    READS,
    STRAY,
    UNEXPLAINED,
    UNFAMILIAR,
)
from anomech.detectors._places import ledoit_wolf, quadratic
from anomech.roles.detector import Cause

DIFFERENT: Mapping[str, Cause] = {"where": ELSEWHERE}
"""Sights that are judged by how different they are, to any side."""

DIFFERENT_ANYHOW: Mapping[str, Cause] = {"where": NOWHERE}
"""The same whatever the answer and the confidence: where a model is unsure, honest answers scatter
so widely that hardly anything is unusual among them."""

HIGH: Mapping[str, Cause] = {
    "lacking": UNEXPLAINED,
    "reads": READS,
    "beyond": BEYOND,
    "stray": STRAY,
    "prompt": PROMPT,
}
"""Sights whose large values alone are suspicious, at the own answer and confidence."""

ANYHOW: Mapping[str, Cause] = {"unfamiliar": UNFAMILIAR, "apart": APART, "lone": LONE}
"""Sights whose large values are suspicious whatever the answer and the confidence: unfamiliar
inputs flock to some answers, and what is usual for those would hide them."""


AT_ITS_OWN = Panel(tuple(each.name for each in (UNEXPLAINED, ELSEWHERE, READS, STRAY, PROMPT)), 3.0)
"""How the answer comes about, where, from which words, through which states and past which prompt,
each beside trusted answers like it. A mechanism whose states are hidden shows a little in each."""

WHATEVER_IT_IS = Panel(tuple(each.name for each in (NOWHERE, APART, LONE)), 1.0)
"""The same beside all trusted answers, for payloads of which the model is unsure."""

WEIGHING = Weighing(
    views={HANGS.name: 0.6, BEYOND.name: 1.0, UNFAMILIAR.name: 0.1},
    others=0.3,
    together=0.0,
    panels=(AT_ITS_OWN, WHATEVER_IT_IS),
    heaviest=HEAVIEST,
)
"""How views of sequences are combined. Honest generations scatter far in every single view, and to
all sides in two-sided ones, so most of the budget goes to views that are asked together. A trigger
that is a string shows in one of them alone, and keeps a share; that the input is odd counts least,
since it says nothing of the answer. Tails may be heavy: a few honest generations lie far beyond the
exponential tail of some views, and would drown the others."""

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
class Afar:
    """Far from all trusted examples, to any side."""

    centers: Centers
    precision: Tensor
    tail: Tail

    def __call__(self, values: Tensor, at: Context) -> Tensor:
        """Of values `[n, d]`, nats `[n]`."""
        rows = self.centers.standardized(values, 0 * at.groups)
        return self.tail.surprise(quadratic(rows, self.precision))


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


def fit_afar(values: Tensor, at: Context) -> Afar:
    """Fit to held-out values of trusted examples `[n, d]`."""
    centers = fit_centers(values, 0 * at.groups)
    rows = centers.standardized(values, 0 * at.groups)
    precision = ledoit_wolf(rows)
    return Afar(centers, precision, fit_tail(quadratic(rows, precision)))


def fit_high(values: Tensor, at: Context) -> High:
    """Fit to held-out values of trusted examples `[n, d]`."""
    return High(fit_usual(values, at))


@dataclass(frozen=True)
class Sights:
    """Fits to all trusted examples, by name of the sight."""

    different: Mapping[str, Density]
    different_anyhow: Mapping[str, Afar]
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
            DIFFERENT_ANYHOW[name].name: judge(seen[name].double(), at)
            for name, judge in self.different_anyhow.items()
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
    different, different_anyhow = dict[str, Density](), dict[str, Afar]()
    high, anyhow = dict[str, High](), dict[str, Anyhow]()
    for name, values in ((name, each.double()) for name, each in seen.items()):
        if name in DIFFERENT:
            views[DIFFERENT[name].name], different[name] = held_out(values, at, fit_density)
        if name in DIFFERENT_ANYHOW:
            found, different_anyhow[name] = held_out(values, at, fit_afar)
            views[DIFFERENT_ANYHOW[name].name] = found
        if name in HIGH:
            views[HIGH[name].name], high[name] = held_out(values, at, fit_high)
        elif name in ANYHOW:
            views[ANYHOW[name].name], anyhow[name] = held_out(values, at, fit_anyhow)
    hanging = None
    if {"unfamiliar", "hangs"} <= seen.keys():
        views[HANGS.name], hanging = held_out(_hanging_on(seen), at, fit_hanging)
    return Sights(different, different_anyhow, high, anyhow, hanging), views


def _hanging_on(seen: Mapping[str, Tensor]) -> Tensor:
    """How strange the strangest words are, and what the answer loses without them."""
    return torch.cat([seen["unfamiliar"], seen["hangs"]], dim=1).double()
