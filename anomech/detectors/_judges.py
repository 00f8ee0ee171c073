"""The flagship's views, fitted: which statistics each of them looks at."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.attribution.density import Density, fit_density
from anomech.attribution.profile import STATISTICS
from anomech.attribution.usual import Context, held_out
from anomech.attribution.views import (
    Forgotten,
    Implausible,
    Remote,
    Unfamiliar,
    Unsupported,
    fit_forgotten,
    fit_implausible,
    fit_remote,
    fit_unfamiliar,
    fit_unsupported,
)
from anomech.detectors._causes import (
    APART,
    CONFIDENCE,
    FOREIGN,
    FORGOTTEN,
    REMOTE,
    STRAY,
    UNEXPLAINED,
    UNFAMILIAR,
    UNLIKE,
)
from anomech.detectors._fold import Statistics


@dataclass(frozen=True)
class Judges:
    """Fits to all trusted examples; those that look at what the task does not give are None.

    Attributes:
        support: by the anchors' responses.
        foreign: of each part's profile with log-odds and energy, and of the features.
        forgotten: at the twins, one-sided.
        unlike: at the twins, two-sided.
        remote: of the distance to the nearest class.
        stray: of the distances of states to the own answer's.
        apart: of the distances of states to all.
        unfamiliar: at any confidence.
        confidence: of the log-odds.
    """

    support: Unsupported
    foreign: tuple[Density, ...]
    forgotten: Forgotten | None
    unlike: Density | None
    remote: Remote | None
    stray: Remote | None
    apart: Remote | None
    unfamiliar: Unfamiliar | None
    confidence: Implausible

    def views(self, statistics: Statistics, at: Context) -> dict[str, Tensor]:
        """The value of every view `[n]`; higher is more anomalous."""
        foreign = [
            judge(values, at)
            for judge, values in zip(self.foreign, _blocks(statistics), strict=True)
        ]
        found = {
            UNEXPLAINED.name: self.support(statistics.profile, at),
            FOREIGN.name: torch.stack(foreign).sum(dim=0),
        }
        if self.forgotten and self.unlike and statistics.drops is not None:
            found[FORGOTTEN.name] = self.forgotten(statistics.drops, at)
            found[UNLIKE.name] = self.unlike(statistics.drops, at)
        if self.remote and statistics.nearest is not None:
            found[REMOTE.name] = self.remote(statistics.nearest, at)
        if self.stray and self.apart and statistics.stray is not None:
            assert statistics.apart is not None
            found[STRAY.name] = self.stray(statistics.stray, at)
            found[APART.name] = self.apart(statistics.apart, at)
        if self.unfamiliar and statistics.strange is not None:
            found[UNFAMILIAR.name] = self.unfamiliar(statistics.strange, at)
        found[CONFIDENCE.name] = self.confidence(at.log_odds[:, None], at)
        return found


def fit_judges(statistics: Statistics, at: Context) -> tuple[Judges, Mapping[str, Tensor]]:
    """Fit to held-out statistics of trusted examples.

    Returns:
        The fits to all of them, and the value of every view of each example by a fit to others.
    """
    views: dict[str, Tensor] = {}
    views[UNEXPLAINED.name], support = held_out(statistics.profile, at, fit_unsupported)
    surprises, foreign = zip(
        *(held_out(values, at, fit_density) for values in _blocks(statistics)), strict=True
    )
    views[FOREIGN.name] = torch.stack(surprises).sum(dim=0)
    forgotten = unlike = remote = stray = apart = unfamiliar = None
    if statistics.drops is not None:
        views[FORGOTTEN.name], forgotten = held_out(statistics.drops, at, fit_forgotten)
        views[UNLIKE.name], unlike = held_out(statistics.drops, at, fit_density)
    if statistics.nearest is not None:
        views[REMOTE.name], remote = held_out(statistics.nearest, at, fit_remote)
    if statistics.stray is not None and statistics.apart is not None:
        views[STRAY.name], stray = held_out(statistics.stray, at, fit_remote)
        views[APART.name], apart = held_out(statistics.apart, at, fit_remote)
    if statistics.strange is not None:
        views[UNFAMILIAR.name], unfamiliar = held_out(statistics.strange, at, fit_unfamiliar)
    views[CONFIDENCE.name], confidence = held_out(at.log_odds[:, None], at, fit_implausible)
    near = (remote, stray, apart, unfamiliar)
    return Judges(support, foreign, forgotten, unlike, *near, confidence), views


def _blocks(statistics: Statistics) -> list[Tensor]:
    """What each density looks at: a part's profile in its context, and the features in theirs."""
    width = len(STATISTICS)
    blocks = [
        torch.cat([statistics.profile[:, start : start + width], statistics.context], dim=1)
        for start in range(0, statistics.profile.shape[1], width)
    ]
    if statistics.features is not None:
        blocks.append(torch.cat([statistics.features, statistics.context], dim=1))
    return blocks
