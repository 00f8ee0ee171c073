"""Fine-Pruning: units that trusted data leave idle are pruned, then the rest is tuned.

Belief: a trigger excites units that trusted examples do not, so these can go unharmed; tuning
then takes what the trigger shares with useful units.
Equation: units in increasing order of their mean activation on trusted examples, or, by
"suspects", in decreasing order of (mean of flagged inputs less mean of trusted) over the
standard deviation of trusted; as many go as trusted accuracy bears. With several `rounds` a
share of that loss is spent in each, and the model is tuned after each.
Source: Liu, Dolan-Gavitt, Garg 2018; by suspects after activation clustering (Chen et al. 2018).
Public code stops by test accuracy; here trusted examples decide.
Needs: units to prune, activations, training statistics, trusted examples with labels; flagged
inputs if ordered by them.
Cost: a pass over the trusted examples for every step, and `3 epochs` for those that are learned.
Fails when: the attacker pruned before planting, or the mechanism uses units of the target class.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from anomech.kernel.config import option, options
from anomech.kernel.randomness import key
from anomech.kernel.types import Overlay, Progress, silent
from anomech.learning.descent import Relearning, descend, plainly
from anomech.learning.masks import holding
from anomech.mitigations._pruning import over, pruned_within, units_of
from anomech.mitigations._trusted import TUNING, parted, suspected
from anomech.observing.activations import pooled_activations
from anomech.observing.observed import observe
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Activations, Prunable, Task, Training, Units


@options
class FinePruning:
    """Idle units are pruned and the rest is tuned."""

    where: Literal["last", "all"] = option("last", "units of the last layer before the answers")
    by: Literal["dormant", "suspects"] = option(
        "dormant", "order: least excited by trusted examples, or most by flagged ones"
    )
    tolerance: float = option(0.04, "trusted accuracy that pruning may cost", ge=0, le=0.5)
    rounds: int = option(1, "of pruning and tuning in turn", unit="rounds", ge=1)
    most: float = option(0.95, "share of the units that may go", gt=0, le=1)
    steps: int = option(40, "of the search for how many may go", ge=2)
    relearning: Relearning = option(TUNING, "how the pruned model goes on learning")
    kept: float = option(
        0.2, "share of the trusted examples that accuracy is measured on", gt=0, le=0.8
    )

    @property
    def needs(self) -> frozenset[Ability]:
        """Units, activations and training statistics."""
        return frozenset({Prunable, Activations, Training})

    def mitigate(
        self,
        task: Task,
        trusted: ObservedExamples,
        suspects: ObservedExamples | None,
        *,
        seed: int,
        progress: Progress,
    ) -> Repair:
        """See `anomech.roles.mitigation.Mitigation`.

        Raises:
            DataError: no labels, too few examples, or no suspects where the order is theirs.
            CapabilityError: nothing to prune.
        """
        parts = parted(task, trusted, self.kept, "fine_pruning", seed)
        flagged = suspected(suspects, "fine_pruning") if self.by == "suspects" else None
        units = self._units(units_of(task, trusted.examples, "fine_pruning"))
        overlay: dict[str, Tensor] = {}
        silenced: dict[str, Tensor] = {}
        passes, count = 0.0, 0
        for number in range(self.rounds):
            scores = self._scores(task, trusted, flagged, units, overlay)
            pruned = pruned_within(
                over(overlay, task.state()),
                units,
                scores,
                lambda change, base=dict(overlay): parts.accuracy({**base, **change}),  # type: ignore[misc]
                lost=self.tolerance / self.rounds,
                most=self.most,
                steps=self.steps,
                cost=len(trusted),
                progress=progress,
            )
            overlay, count = {**overlay, **pruned.overlay}, max(count, pruned.count)
            silenced = {**silenced, **pruned.overlay}
            start = {name: overlay.get(name, each) for name, each in task.watched.items()}
            found = descend(
                start,
                parts.count,
                plainly(parts.lesson(self.relearning.statistics)),
                self.relearning,
                seed=key(seed, "fine_pruning", number),
                progress=progress,
                buffers={name: each for name, each in overlay.items() if name not in start},
                into=holding(units, silenced),
            )
            overlay = {**overlay, **found.overlay}
            passes += pruned.passes + found.evaluations + len(trusted)
        return parts.repair(overlay, passes, (), {"units pruned": float(count)})

    def _units(self, units: Sequence[Units]) -> Sequence[Units]:
        return units[-1:] if self.where == "last" else units

    def _scores(
        self,
        task: Task,
        trusted: ObservedExamples,
        flagged: ObservedExamples | None,
        units: Sequence[Units],
        overlay: Overlay,
    ) -> Mapping[str, Tensor]:
        """By place; higher goes first."""
        places = [each.place for each in units]
        ours = _read(task, trusted, places, overlay)
        if flagged is None:
            return {place: -rows.mean(dim=0) for place, rows in ours.items()}
        theirs = _read(task, flagged, places, overlay)
        return {
            place: (theirs[place].mean(dim=0) - rows.mean(dim=0))
            / rows.std(dim=0, correction=0).clamp_min(1e-6)
            for place, rows in ours.items()
        }


def _read(
    task: Task, observed: ObservedExamples, places: Sequence[str], overlay: Overlay
) -> dict[str, Tensor]:
    seen = observe(task.with_(overlay), observed.examples) if overlay else observed
    return pooled_activations(seen, silent, places)
