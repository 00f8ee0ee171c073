"""From what a calibrated detector says to the records of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated, Judged
from anomech.audit.judge.trusted import TrustedSet
from anomech.audit.judge.wording import reason
from anomech.observing.observed import Observed
from anomech.records import Evidence, ScoreRow, Verdict
from anomech.roles.sequences import Sequences
from anomech.roles.task import able


@dataclass(frozen=True)
class AnchorNames:
    """What evidence says of trusted examples; unlike the examples themselves it is small.

    Attributes:
        ids: of all trusted examples, in their order.
        answers: the model's own, in words.
    """

    ids: Sequence[str]
    answers: Sequence[str]


def anchor_names(trusted: TrustedSet) -> AnchorNames:
    """Ids and answers of a trusted set."""
    return AnchorNames(trusted.ids, trusted.answers)


def verdicts(
    calibrated: Calibrated, judged: Judged, observed: Observed, anchors: AnchorNames
) -> list[Verdict]:
    """Records of what was judged.

    Args:
        calibrated: the lead.
        judged: what it says of the inputs.
        observed: the inputs, in the same order.
        anchors: ids and answers of the trusted examples that evidence names.
    """
    answers, groups = observed.task.words(observed.answers), observed.groups
    kinds = observed.task.group_words(groups)
    causes = {each.name: each for each in calibrated.causes}
    marks = _marks(judged, observed)
    rows = []
    for place, example in enumerate(observed.examples.ids):
        decision, p_value = judged.decisions[place], float(judged.p_values[place])
        finite = bool(torch.isfinite(judged.scores.score[place]))
        whole = finite and not bool(judged.settled[place])
        cause = judged.cause(place) if decision == "flag" else None
        because = causes[cause].because if cause in causes else ""
        rows.append(
            Verdict(
                id=example,
                answer=answers[place],
                group=int(groups[place]),
                kind="" if kinds[place] == answers[place] else kinds[place],
                score=float(judged.scores.score[place]) if finite else None,
                p_value=p_value if finite else None,
                decision=decision,
                cause=cause,
                views={name: float(view[place]) for name, view in judged.views.items()},
                stratum=int(judged.strata[place]) if calibrated.per_class else None,
                reason=reason(
                    decision,
                    p_value=p_value,
                    budget=calibrated.budget,
                    because=because,
                    problems=calibrated.problems,
                    finite=finite,
                    covered=bool(judged.covered[place]),
                    settled=bool(judged.settled[place]),
                ),
                evidence=_evidence(judged, place, calibrated.teachers, anchors) if whole else (),
                explained={
                    part: float(values[place])
                    for part, values in (judged.scores.explained or {}).items()
                    if whole
                },
                marks=marks[place] if finite and decision == "flag" else (),
            )
        )
    return rows


def _marks(judged: Judged, observed: Observed) -> list[tuple[str, ...]]:
    """The marked pieces of every input, each named once."""
    found = judged.scores.marks
    if found is None or Sequences not in observed.task.provides:
        return [()] * len(observed)
    pieces = able(observed.task, Sequences).pieces
    return [tuple(dict.fromkeys(p for p in pieces(row) if p.strip())) for row in found]


def score_rows(ids: Sequence[str], judged: Judged) -> tuple[ScoreRow, ...]:
    """Scores of inputs; those without a finite score have no row."""
    return tuple(
        ScoreRow(id=name, role="input", score=score, p_value=p_value, decision=decision)
        for name, score, p_value, decision, finite in zip(
            ids,
            judged.scores.score.tolist(),
            judged.p_values.tolist(),
            judged.decisions,
            judged.scores.score.isfinite().tolist(),
            strict=True,
        )
        if finite
    )


def _evidence(
    judged: Judged, place: int, teachers: Tensor, anchors: AnchorNames
) -> tuple[Evidence, ...]:
    scores = judged.scores
    if scores.nearest is None or scores.couplings is None:
        return ()
    return tuple(
        Evidence(anchor=anchors.ids[anchor], answer=anchors.answers[anchor], coupling=coupling)
        for anchor, coupling in zip(
            teachers[scores.nearest[place]].tolist(), scores.couplings[place].tolist(), strict=True
        )
    )
