"""The seam for stopping early: what takes its draws in stages, beside what is in `types`."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from anomech.types import Examples, ObservedExamples, Progress, Scores, Traces


@runtime_checkable
class StagedSource(Protocol):
    """A trace source that takes its features one after the other and can stop early."""

    def in_stages(
        self,
        examples: Examples,
        answers: Tensor,
        stages: Sequence[int],
        settle: Callable[[Traces, np.ndarray], Tensor],
        progress: Progress,
    ) -> None:
        """Show `settle` the open examples' traces at every stage; the settled ones get no more.

        Args:
            examples: any.
            answers: the model's own to them.
            stages: numbers of features, increasing.
            settle: (traces `[open]`, their places) to bool `[open]`, which need no more; what it
                says at the last stage is not used.
            progress: told the stage "tracing".
        """
        ...


class StagedScores(NamedTuple):
    """Scores of examples that did not all take the same trouble.

    Attributes:
        scores: of each example at the last stage it took; stages have scales of their own.
        evaluations: forward passes that each took, float64 `[examples]`.
    """

    scores: Scores
    evaluations: Tensor


@runtime_checkable
class StagedMethod(Protocol):
    """A fitted method that can score at little cost first, and go on where that settles nothing.

    It only ranks, at every stage; what settles an example is for calibration to say.

    Attributes:
        stages: what it can spend on an example, increasing; fewer than two mean it never stops.
        confidence: share of the examples that would be flagged in the end that must not be stopped.
    """

    @property
    def stages(self) -> tuple[int, ...]: ...

    @property
    def confidence(self) -> float: ...

    def score_in_stages(
        self,
        observed: ObservedExamples,
        settle: Callable[[int, Tensor, np.ndarray], Tensor],
        progress: Progress,
    ) -> StagedScores:
        """Score stage by stage.

        Args:
            observed: any.
            settle: (stage, scores `[open]`, their places) to bool `[open]`, which need no more.
            progress: as for `score`.
        """
        ...
