"""The end of a run: chunks on disk become the rows of the run folder, one chunk at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from anomech.audit.judge import chunks
from anomech.audit.judge.batch import decided
from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.tally import MOST_ANSWERS, Outcome, Tally
from anomech.audit.load.loading import Loaded
from anomech.audit.plan import Plan
from anomech.audit.probing import answers, confidence, familiarity, files
from anomech.audit.probing.verdicts import without_verdicts
from anomech.audit.write import findings, grouping, pictures, rows
from anomech.audit.write.folder import WORK
from anomech.calibration.discovery import fewest_flags
from anomech.calibration.excess import traffic_of
from anomech.data.splits import overlap
from anomech.kernel.errors import RunError
from anomech.kernel.types import Progress
from anomech.records import ExampleRow, Finding, Mechanism, Verdict, row_text, whole_file

LEAST_ACCURACY = 0.5

LARGEST = 2000
"""Clustering compares all pairs; beyond this many flags an even selection is clustered."""


@dataclass(frozen=True)
class Kept:
    """All that the end of a run works on; the rows themselves are in `out`.

    Attributes:
        plan: of the run.
        loaded: what it works on.
        fitted: its detectors.
        out: the run folder.
        tally: what was counted of all inputs.
        outcome: what was decided over all inputs.
    """

    plan: Plan
    loaded: Loaded
    fitted: Fitted
    out: Path
    tally: Tally
    outcome: Outcome

    def chunk(self, number: int) -> tuple[chunks.Chunk, Tensor]:
        """A finished chunk with the residuals of its flags.

        Raises:
            RunError: it is gone.
        """
        found = chunks.load(self.out / WORK, number)
        if found is None:
            raise RunError(
                f"chunk {number} of the run folder was changed or removed meanwhile; run the same "
                "command again: what is missing is computed again."
            )
        return found


def mechanisms(kept: Kept) -> tuple[list[Mechanism], dict[str, int]]:
    """Mechanisms among the flags, and the number of each flagged input that has one."""
    trusted = kept.fitted.lead.residuals
    places = even(kept.outcome.flagged, LARGEST)
    if trusted is None or not len(places):
        return [], {}
    residuals = trusted.new_empty(len(places), trusted.shape[1])
    return grouping.group(
        _flagged(kept, places, residuals),
        residuals,
        trusted,
        calibration=len(kept.fitted.lead.examples),
        budget=kept.plan.budget,
    )


def compared(kept: Kept) -> int | None:
    """Flags among which mechanisms are looked for, if these are not all; None otherwise."""
    some = kept.fitted.lead.residuals is not None
    return LARGEST if some and len(kept.outcome.flagged) > LARGEST else None


def even(places: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the places `[n]`, evenly from the first to the last."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).round().astype(int)]


def _flagged(kept: Kept, places: np.ndarray, residuals: Tensor) -> list[Verdict]:
    """Verdicts of some flagged inputs, in order; fills their residuals `[places, features]`."""
    size, flags = kept.plan.chunk, kept.tally.flags
    verdicts: list[Verdict] = []
    for number in np.unique(places // size).tolist():
        chunk, own = kept.chunk(number)
        inside = places[places // size == number] - number * size
        # A chunk keeps residuals of what the lead flags by itself, in order.
        order = np.cumsum(flags[number * size : (number + 1) * size]) - 1
        residuals[len(verdicts) : len(verdicts) + len(inside)] = own[order[inside]]
        verdicts += [chunk.verdicts[place] for place in inside.tolist()]
    return verdicts


def write(
    kept: Kept, found: Sequence[Mechanism], numbers: Mapping[str, int], progress: Progress
) -> None:
    """Write previews, examples, scores and verdicts.

    Raises:
        RunError: the disk is full.
    """
    plan, inputs, fitted, out = kept.plan, kept.loaded.inputs, kept.fitted, kept.out
    noted = rows.worth_a_look(fitted.trusted, fitted.lead)
    shown = pictures.save(out, kept.loaded.reference, inputs, kept.outcome.shown, found, noted)
    q_values, digests, done = kept.outcome.q_values, inputs.digests(), 0
    with ExitStack() as stack:
        scores = {
            name: stack.enter_context(whole_file(out / "scores" / f"{name}.jsonl"))
            for name in fitted.detectors
        }
        examples = stack.enter_context(whole_file(out / "examples.jsonl"))
        verdicts = stack.enter_context(whole_file(out / "verdicts.jsonl"))
        for name, each in fitted.detectors.items():
            scores[name].writelines(map(row_text, rows.calibration_scores(each, fitted.trusted)))
        examples.writelines(
            map(row_text, rows.trusted_examples(fitted.trusted, fitted.lead, shown[0]))
        )
        for number, places in enumerate(chunks.bounds(len(inputs), plan.chunk)):
            chunk, _ = kept.chunk(number)
            for name, file in scores.items():
                file.writelines(map(row_text, chunk.scores[name]))
            for place, first in zip(places.tolist(), chunk.verdicts, strict=True):
                row = decided(first, q_values[place], plan.budget, plan.control)
                if row.decision == "flag" and row.id in numbers:
                    row = row.model_copy(update={"mechanism": numbers[row.id]})
                verdicts.write(row_text(row))
                examples.write(
                    row_text(
                        ExampleRow(
                            id=row.id,
                            role="input",
                            digest=digests[place],
                            answer=row.answer,
                            preview=shown[1].get(row.id),
                        )
                    )
                )
            done += len(places)
            progress("writing results", done, len(inputs))


def findings_of(kept: Kept, found: Sequence[Mechanism]) -> list[Finding]:
    """What a person should know of the run."""
    fitted, inputs, budget = kept.fitted, kept.loaded.inputs, kept.plan.budget
    listed = [findings.left_out(name, why) for name, why in fitted.skipped.items()]
    if not fitted.lead.problems:
        # Counted by p-value, so that the rule holds under false-discovery control too.
        flags = int((kept.tally.p_values <= budget).sum())
        traffic = traffic_of(fitted.lead.strata.sizes, kept.tally.strata)
        listed.append(findings.excess(flags, traffic, budget))
        calibration = len(fitted.lead.examples)
        fewest = fewest_flags(len(inputs), calibration, budget)
        if kept.plan.control == "batch" and fewest > 1:
            listed.append(findings.blind(fewest, len(inputs), calibration, budget))
        listed += findings.mechanisms(found)
    listed += fitted.noticed
    already = without_verdicts(fitted.noticed)
    for name, each in fitted.detectors.items():
        own = [problem for problem in each.problems if problem not in already]
        listed += [findings.poor_health(name, problem) for problem in own[:1]]
    if len(kept.tally.answers) < MOST_ANSWERS:
        listed += answers.probe(kept.tally.answers, Counter(fitted.trusted.kinds))
    listed += confidence.probe(sum(kept.tally.unsure), len(inputs), len(fitted.trusted))
    outside, flagged = (sum(each[which] for each in kept.tally.outside) for which in (0, 1))
    listed += familiarity.probe(outside, flagged, len(inputs), len(fitted.lead.examples))
    listed += files.probe("inputs", inputs, fitted.task)
    listed += files.probe("trusted examples", kept.loaded.reference, fitted.task)
    shared = overlap(inputs.digests(), fitted.trusted.digests)
    if len(shared):
        listed.append(findings.overlapping(len(shared), inputs.ids[int(shared[0])]))
    if fitted.trusted.accuracy is None:
        listed.append(findings.unlabeled())
    elif fitted.trusted.accuracy < LEAST_ACCURACY:
        total, advice = len(fitted.trusted), kept.plan.task.advice
        listed.append(findings.inaccurate(fitted.trusted.accuracy, total, advice))
    listed += map(findings.note, kept.loaded.notes)
    return listed
