"""What `anomech repair` does on its own, as one more row: several methods, chosen by a user's data.

The trusted and the flagged examples of a cell are cut in two, as the command cuts what it does not
prove with: one part repairs, the other chooses, and the method that is chosen repairs again with
both. Nothing is proved here; the bench knows the truth.
"""

import tempfile
from pathlib import Path

import numpy as np

from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.types import Progress
from anomech.observing.observed import observe
from anomech.repair.choosing import choose
from anomech.repair.plan import AUTO, RepairPlan, from_mapping
from anomech.repair.subject import FEWEST, Subject, cut, parts_of, trusted_places
from anomech.roles.detector import ObservedExamples
from anomech.roles.mitigation import Repair
from anomech.roles.task import Ability, Task
from anomech.roles.tracer import Health

NAME = "auto"
"""Of this row; a mitigation cannot be called so."""


@options
class Automatic:
    """The best of several methods by trusted and flagged examples."""

    methods: tuple[str, ...] = option(AUTO, "that are tried, with their own defaults")
    choosing: float = option(0.2, "share of the examples that methods are chosen on", gt=0, le=0.5)

    @property
    def needs(self) -> frozenset[Ability]:
        """Nothing: a method whose needs are not met is left out."""
        return frozenset()

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
            DataError: so few trusted examples that the command refuses them, or no method works.
        """
        if len(trusted) < FEWEST:
            raise DataError(
                f"methods are not chosen on fewer than {FEWEST} trusted examples; name one."
            )
        assert suspects is not None
        plan = self._plan(seed)
        shares = (1 - self.choosing, self.choosing)
        nobody = np.zeros(0, np.int64)
        labeled = trusted_places(trusted.examples, shares, seed)
        subject = Subject(
            task=task,
            trusted=parts_of(observe(task, trusted.examples), [*labeled, nobody]),
            flagged=parts_of(
                observe(task, suspects.examples), [*cut(len(suspects), shares, seed), nobody]
            ),
            inputs=None,
            audit=None,
            reference="",
            model="",
            title="",
            everything=trusted.examples,
        )
        with tempfile.TemporaryDirectory() as folder:
            choice = choose(plan, subject, Path(folder), progress)
        passes = sum(each.evaluations for each in choice.results) + choice.best.evaluations
        chosen = {f"{each.name} was chosen": float(each is choice.best) for each in choice.results}
        return Repair(choice.overlay, {}, {}, Health((), chosen), passes)

    def _plan(self, seed: int) -> RepairPlan:
        return from_mapping(
            {
                "methods": {name: {} for name in self.methods},
                "choosing": self.choosing,
                "seed": seed,
            }
        )
