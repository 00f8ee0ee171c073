"""One chunk's judgment as a pure function, so that any engine can run it anywhere."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.chunks import Chunk
from anomech.audit.judge.verdicts import AnchorNames, score_rows, verdicts
from anomech.kernel.types import Examples, silent
from anomech.observing.observed import observe
from anomech.records import ScoreRow, Verdict
from anomech.roles.task import Task


@dataclass(frozen=True)
class Shared:
    """All that every chunk is judged with; it goes to each worker of an engine once.

    Attributes:
        task: the model.
        detectors: by name; the lead is among them.
        lead: name of the one that gives the verdicts.
        anchors: for the evidence.
        basis: hash of what verdicts rest on.
        unsure: log-odds below which an answer counts as unsure.
    """

    task: Task
    detectors: Mapping[str, Calibrated]
    lead: str
    anchors: AnchorNames
    basis: str
    unsure: float


class Piece(NamedTuple):
    """One chunk of inputs.

    Attributes:
        number: of the chunk.
        inputs: in memory where they can be, so that a worker needs no files.
        content: hash of their digests.
    """

    number: int
    inputs: Examples
    content: str


def light(calibrated: Calibrated) -> Calibrated:
    """Without the responses of calibration examples: they are large and judge nothing."""
    return replace(calibrated, residuals=None)


def judge_chunk(shared: Shared, piece: Piece) -> tuple[Chunk, Tensor]:
    """What all detectors say of one chunk, and the residuals of its flags `[flags, features]`."""
    sources = [each for one in shared.detectors.values() for each in one.sources]
    observed = observe(shared.task, piece.inputs, sources=sources)
    scores: dict[str, tuple[ScoreRow, ...]] = {}
    seconds: dict[str, float] = {}
    tracing: dict[str, float] = {}
    rows: tuple[Verdict, ...] = ()
    kept = torch.zeros(0, 0)
    for name, calibrated in shared.detectors.items():
        clock, mark = time.monotonic(), observed.cache.mark
        judged = calibrated.judge(observed, silent)
        traced = sum(observed.cache.seconds(source, mark) for source in calibrated.sources)
        own = time.monotonic() - clock - traced
        tracing[name] = sum(observed.cache.seconds(source) for source in calibrated.sources)
        seconds[name] = own + tracing[name]
        scores[name] = score_rows(piece.inputs.ids, judged)
        if name == shared.lead:
            rows = tuple(verdicts(calibrated, judged, observed, shared.anchors))
            flags = [i for i, decision in enumerate(judged.decisions) if decision == "flag"]
            if flags:
                kept = calibrated.unexplained(observed, np.array(flags))
    chunk = Chunk(
        content=piece.content,
        basis=shared.basis,
        scores=scores,
        verdicts=rows,
        unsure=int((observed.log_odds < shared.unsure).sum()),
        seconds=seconds,
        tracing=tracing,
    )
    return chunk, kept
