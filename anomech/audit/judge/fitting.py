"""From a model and trusted examples to calibrated detectors."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from anomech.audit.access import limited
from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.calibrating import calibrate
from anomech.audit.judge.detectors import (
    check_access,
    check_needs,
    make_detector,
    only_learned_from,
)
from anomech.audit.judge.trusted import TrustedSet, TrustedSplit, remembered, split_trusted
from anomech.audit.probing.asked import ask
from anomech.audit.probing.coverage import probe_misjudged
from anomech.audit.probing.minority import Doubtful
from anomech.audit.probing.minority import probe as probe_minority
from anomech.audit.probing.traces import probe as probe_traces
from anomech.audit.probing.verdicts import require_sound
from anomech.calibration.sufficiency import require
from anomech.kernel.errors import CapabilityError, Inconclusive
from anomech.kernel.types import Engine, Examples, Progress
from anomech.observing.preparing import prepared
from anomech.observing.traces import FittedSource
from anomech.records import Finding, Sensitivity
from anomech.roles.detector import Detector
from anomech.roles.task import Task


@dataclass(frozen=True)
class Fitted:
    """All detectors of a run, calibrated.

    Attributes:
        trusted: how the trusted set was used.
        detectors: by name; the lead is among them.
        lead: the one that gives the verdicts.
        seconds: that each took to fit and calibrate, with the traces that it looks at.
        tracing: the part of them that went into those traces; detectors that look at the same
            traces share it.
        skipped: detectors that this model cannot serve, with the reason.
        sources: whose traces detectors look at, each once.
        task: the model, when it has seen trusted examples.
        noticed: what it and its trusted set showed before anything was judged.
        sensitivity: triggers of the audit's own and what is caught of them; empty if not asked.
    """

    trusted: TrustedSet
    detectors: Mapping[str, Calibrated]
    lead: Calibrated
    seconds: Mapping[str, float]
    tracing: Mapping[str, float]
    skipped: Mapping[str, str]
    sources: tuple[FittedSource, ...]
    task: Task
    noticed: tuple[Finding, ...] = ()
    sensitivity: tuple[Sensitivity, ...] = ()


class Settings(Protocol):
    """How to fit: what a plan and the library's `Auditor` have in common."""

    @property
    def lead(self) -> str: ...
    @property
    def detectors(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def budget(self) -> float: ...
    @property
    def anchor_share(self) -> float: ...
    @property
    def most_anchors(self) -> int: ...
    @property
    def per_class(self) -> bool: ...
    @property
    def seed(self) -> int: ...
    @property
    def access(self) -> str: ...
    @property
    def doubtful(self) -> Doubtful: ...


def fit(
    settings: Settings,
    task: Task,
    reference: Examples,
    progress: Progress,
    engine: Engine | None = None,
) -> Fitted:
    """Fit and calibrate every detector; independent chains run on the engine.

    Raises:
        ConfigError: no such detector or option.
        CapabilityError: the model cannot give what the lead needs.
        Inconclusive: too few trusted examples for the budget, or a model that has no answer of
            its own to each input.
        DataError: the trusted examples do not fit the model.
    """
    lead = _usable(settings, task)[0][settings.lead]
    share = only_learned_from(lead, settings.anchor_share)
    require(len(reference), settings.budget, share, settings.most_anchors)
    task = prepared(task, reference)
    usable, skipped = _usable(settings, task)
    split = split_trusted(
        task,
        reference,
        share=settings.anchor_share,
        most=settings.most_anchors,
        seed=settings.seed,
        progress=progress,
        doubtful=settings.doubtful,
    )
    noticed = [*ask(split.everything, split.covered), *limited(settings.access)]
    noticed += _set_apart(split, settings.doubtful)
    require_sound(noticed)
    detectors, seconds, tracing = _calibrated(settings, usable, split, skipped, progress, engine)
    given = detectors[settings.lead]
    return Fitted(
        trusted=remembered(split),
        detectors=detectors,
        lead=given,
        seconds=seconds,
        tracing=tracing,
        skipped=skipped,
        sources=tuple(split.everything.cache.sources),
        task=task,
        noticed=(*noticed, *_of_lead(given, split, progress)),
    )


def _set_apart(split: TrustedSplit, doubtful: Doubtful) -> list[Finding]:
    """What is said of a small group within a class that lies apart."""
    if split.minority is None:
        return []
    (name,) = split.everything.task.group_words(torch.tensor([split.minority.kind]))
    ids = split.everything.examples.ids
    return probe_minority(split.minority, ids, name, kept=doubtful == "keep")


def _calibrated(
    settings: Settings,
    usable: Mapping[str, Detector],
    split: TrustedSplit,
    skipped: dict[str, str],
    progress: Progress,
    engine: Engine | None,
) -> tuple[dict[str, Calibrated], dict[str, float], dict[str, float]]:
    """Detectors, their seconds and the part of these that went into traces; adds to `skipped`."""
    detectors: dict[str, Calibrated] = {}
    seconds: dict[str, float] = {}
    tracing: dict[str, float] = {}
    cache = split.everything.cache
    for name, detector in usable.items():
        clock, mark = time.monotonic(), cache.mark
        try:
            made = calibrate(
                name,
                detector,
                split.on(engine),
                budget=settings.budget,
                per_class=settings.per_class,
                seed=settings.seed,
                progress=progress,
            )
        except Inconclusive as error:
            if name == settings.lead:
                raise
            skipped[name] = str(error)
            continue
        # What only this detector looks at, such as its twins, is its own.
        traced = sum(cache.seconds(source, mark) for source in made.traces)
        own = time.monotonic() - clock - traced
        tracing[name] = sum(cache.seconds(source) for source in made.traces)
        detectors[name], seconds[name] = made, own + tracing[name]
    return detectors, seconds, tracing


def _of_lead(lead: Calibrated, split: TrustedSplit, progress: Progress) -> list[Finding]:
    """What fitting the lead showed of the model and its trusted set."""
    found = []
    for source in lead.traces:
        found += probe_traces(split.anchors.traced(source, progress))
    words = split.everything.task.group_words
    if split.covered is not None and lead.covered is not None:
        left = split.covered[~torch.isin(split.covered, lead.covered)]
        found += probe_misjudged(words(left), judged=False)
    if lead.apart is not None:
        found += probe_misjudged(words(lead.apart.odd), judged=True)
    return found


def _usable(settings: Settings, task: Task) -> tuple[dict[str, Detector], dict[str, str]]:
    """The detectors that this model can serve, and why it cannot serve the others."""
    usable: dict[str, Detector] = {}
    skipped: dict[str, str] = {}
    for name, options in settings.detectors.items():
        detector = make_detector(name, options)
        try:
            check_access(name, detector, settings.access)
            check_needs(name, detector, task)
        except CapabilityError as error:
            if name == settings.lead:
                raise
            skipped[name] = str(error)
        else:
            usable[name] = detector
    return usable, skipped
