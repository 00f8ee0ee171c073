"""From a plan to what a repair works on: the model, and examples in their roles.

Trusted examples are cut into three parts that share none: one repairs, one chooses among
methods, one proves. So are the flagged inputs. Nothing that proves was seen before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.data.splits import stratified
from anomech.data.subset import Subset, known
from anomech.kernel.config import suggested
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator
from anomech.kernel.types import Examples, Progress, about, anew
from anomech.observing.observed import Observed, observe
from anomech.observing.preparing import prepared
from anomech.repair.flagged import Flagged, flagged, places_of
from anomech.repair.plan import RepairPlan
from anomech.roles.sequences import Lenient
from anomech.roles.task import Task

FEWEST = 10
"""Trusted examples below which nothing can be repaired, chosen and proved."""

SHARES = (0.5, 0.2, 0.3)
"""Of flagged inputs: those that repair, choose and prove."""


@dataclass(frozen=True)
class Parts:
    """Examples of one kind, by what they are used for.

    Attributes:
        repair: that methods are given.
        choose: that they are chosen on.
        prove: that the proof rests on.
        seen: the first two together.
    """

    repair: Observed
    choose: Observed
    prove: Observed
    seen: Observed


def parts_of(observed: Observed, places: Sequence[np.ndarray]) -> Parts:
    """Examples by their places in each part."""
    repair, choose, prove = places
    seen = np.concatenate([repair, choose])
    return Parts(*(observed.take(each) for each in (repair, choose, prove, seen)))


@dataclass(frozen=True)
class Subject:
    """What a repair works on.

    Attributes:
        task: the model as it is.
        trusted: examples with labels.
        flagged: inputs to unlearn; None if there are none.
        inputs: everything that was audited, with its plan; None without an audit.
        audit: the flags and the plan of the audit.
        reference: hash of all trusted examples.
        model: fingerprint of the model's tensors.
        title: of the report.
        everything: all trusted examples.
    """

    task: Task
    trusted: Parts
    flagged: Parts | None
    inputs: Examples | None
    audit: Flagged | None
    reference: str
    model: str
    title: str
    everything: Examples

    @property
    def target(self) -> int | None:
        """The group that flagged inputs are answered with most often."""
        if self.flagged is None:
            return None
        return int(self.flagged.repair.groups.mode().values)

    @property
    def basis(self) -> str:
        """Hash of the model and all examples in their roles."""
        ids = [] if self.audit is None else self.audit.ids
        return combined((self.model, self.reference, *ids))


def open_subject(plan: RepairPlan, progress: Progress, workers: int = 0) -> Subject:
    """Read the model, the trusted examples and what an audit flagged.

    Raises:
        ModelError: the model or its weights cannot be used.
        DataError: examples cannot be read, have no labels or are too few.
        RunError: the audit's inputs are no longer those that were audited.
    """
    plan.task.check()
    opened = plan.model.open()
    options = suggested(plan.task, opened.suggested)
    reference = options.read(plan.reference, "trusted", progress=progress, workers=workers)
    if reference.labels is None or len(reference) < FEWEST:
        raise DataError(
            f"a repair learns from trusted examples with labels, at least {FEWEST}; give more."
        )
    reference = anew(reference)
    known(reference, "hashing trusted examples", progress, workers)
    task: Task = prepared(options.wrap(opened, about(reference)), reference)
    if isinstance(task, Lenient):  # the same exam before a repair and after
        task = task.strict()
    inputs, found = None, None
    if plan.suspects:
        found = flagged(Path(plan.suspects), plan.mechanism)
        inputs = found.plan.task.read(
            found.plan.inputs, "inputs", like=about(reference), progress=progress, workers=workers
        )
        reference = _trusted_by(found, reference)
    return Subject(
        task=task,
        trusted=_trusted(task, reference, plan, progress),
        flagged=_flagged(task, inputs, found, plan.seed, progress),
        inputs=None if inputs is None else anew(inputs),
        audit=found,
        reference=combined(reference.digests()),
        model=fingerprint(task),
        title=opened.title,
        everything=reference,
    )


def _trusted_by(found: Flagged, reference: Examples) -> Examples:
    """Trusted examples without those that the audit left out as a group apart.

    Raises:
        DataError: too few are left.
    """
    kept = [
        place for place, digest in enumerate(reference.digests()) if digest not in found.doubtful
    ]
    if len(kept) == len(reference):
        return reference
    if len(kept) < FEWEST:
        raise DataError("the audit left out nearly all of these trusted examples; give others.")
    return Subset(reference, np.array(kept, np.int64))


def _trusted(task: Task, reference: Examples, plan: RepairPlan, progress: Progress) -> Parts:
    shares = (1 - plan.choosing - plan.proving, plan.choosing, plan.proving)
    observed = observe(task, reference, progress=progress)
    return parts_of(observed, trusted_places(reference, shares, plan.seed))


def trusted_places(
    reference: Examples, shares: tuple[float, ...], seed: int
) -> Sequence[np.ndarray]:
    """Places of trusted examples in parts of these shares, each with every label if it can."""
    labels = np.asarray(reference.labels)
    if labels.dtype.kind in "iu" and labels.ndim == 1:
        return stratified(labels, shares, seed, "repair")
    return _cut(len(reference), shares, seed, "repair")


def _flagged(
    task: Task, inputs: Examples | None, found: Flagged | None, seed: int, progress: Progress
) -> Parts | None:
    if inputs is None or found is None or len(found.ids) < len(SHARES):
        return None
    places = places_of(found.ids, tuple(inputs.ids))
    observed = observe(task, Subset(inputs, places), progress=progress)
    # Answers that were recorded are those to unlearn; what a repaired model says is asked anew.
    observed = replace(observed, examples=Subset(anew(inputs), places))
    return parts_of(observed, cut(len(places), SHARES, seed))


def cut(count: int, shares: tuple[float, ...], seed: int) -> Sequence[np.ndarray]:
    """Places of so many flagged inputs in parts of these shares, one at least in each."""
    return _cut(count, shares, seed, "repair flagged")


def _cut(count: int, shares: tuple[float, ...], seed: int, purpose: str) -> list[np.ndarray]:
    """Places cut at random into parts of these shares, each with one at least."""
    order = numpy_generator(seed, purpose).permutation(count)
    others = [max(1, round(share * count)) for share in shares[1:]]
    first = count - sum(others)
    return [np.sort(each) for each in np.split(order, np.cumsum([first, *others[:-1]]))]
