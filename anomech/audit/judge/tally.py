"""What is kept of all inputs while their chunks come and go: numbers, and a bounded selection."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from anomech.audit.judge.batch import Control, q_values
from anomech.audit.judge.chunks import Chunk
from anomech.audit.probing.familiarity import lies_outside
from anomech.records import Verdict

MOST_ANSWERS = 10_000
"""Different kinds of answers that are counted."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Filled in place, chunk by chunk, in any order.

    Attributes:
        p_values: of the lead, float64 `[inputs]`; not a number where it gives no score.
        flags: inputs that the lead flags by themselves, bool `[inputs]`.
        most: flagged inputs that are shown.
        shown: the most anomalous of them.
        strata: inputs that each stratum of calibration examples judged, by its number.
        flagged: flags by detector.
        answers: inputs by the kind of their answer in words, of the first 10,000 different ones.
        seconds: of scoring by detector, with the traces that it looks at.
        tracing: the part of them that went into those traces.
        unsure: of each chunk, inputs less sure than nearly all trusted examples.
        outside: of each chunk, inputs unlike trusted ones, and those of them that are flagged.
    """

    p_values: np.ndarray
    flags: np.ndarray
    most: int
    shown: list[Verdict] = field(default_factory=list)
    strata: list[int] = field(default_factory=list)
    flagged: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    tracing: dict[str, float] = field(default_factory=dict)
    unsure: list[int] = field(default_factory=list)
    outside: list[tuple[int, int]] = field(default_factory=list)

    @classmethod
    def empty(cls, inputs: int, most: int) -> "Tally":
        """Of no chunk yet."""
        return cls(np.full(inputs, np.nan), np.zeros(inputs, bool), most)

    def add(self, places: np.ndarray, chunk: Chunk) -> None:
        """Count a chunk with the inputs at `places`."""
        rows = chunk.verdicts
        self.unsure.append(chunk.unsure)
        self.p_values[places] = [np.nan if row.p_value is None else row.p_value for row in rows]
        self.flags[places] = [row.decision == "flag" for row in rows]
        for row in rows:
            kind = row.kind or row.answer
            if kind in self.answers or len(self.answers) < MOST_ANSWERS:
                self.answers[kind] += 1
            if row.p_value is None:
                continue
            stratum = row.stratum or 0
            self.strata.extend([0] * (stratum + 1 - len(self.strata)))
            self.strata[stratum] += 1
        flagged = [row for row in rows if row.decision == "flag"]
        self.outside.append((sum(map(lies_outside, rows)), sum(map(lies_outside, flagged))))
        self.shown[:] = most_anomalous([*self.shown, *flagged], self.most)
        for name, scores in chunk.scores.items():
            self.flagged[name] += sum(row.decision == "flag" for row in scores)
        for total, each in ((self.seconds, chunk.seconds), (self.tracing, chunk.tracing)):
            for name, seconds in each.items():
                total[name] = total.get(name, 0.0) + seconds


@dataclass(frozen=True, eq=False)
class Outcome:
    """Decisions over all inputs.

    Attributes:
        q_values: float64 `[inputs]`; not a number where there is no score.
        flagged: places of flagged inputs, in order.
        shown: the most anomalous of them.
    """

    q_values: np.ndarray
    flagged: np.ndarray
    shown: list[Verdict]


def decide(tally: Tally, budget: float, control: Control) -> Outcome:
    """Decide over all inputs when all are counted."""
    adjusted = q_values(tally.p_values)
    flags = tally.flags
    shown = tally.shown
    if control == "batch":
        flags = flags & ~(adjusted > budget)
        # q-values grow with p-values: what stays flagged are the most anomalous of the shown.
        count = int(flags.sum())
        shown = shown[:count]
    return Outcome(adjusted, np.flatnonzero(flags), shown)


def most_anomalous(flagged: Sequence[Verdict], count: int) -> list[Verdict]:
    """The flags with the smallest p-values, then the largest scores, in this order."""
    return heapq.nsmallest(
        count, flagged, key=lambda row: (row.p_value or 0.0, -(row.score or 0.0), row.id)
    )
