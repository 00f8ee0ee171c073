"""What every check is given: the model as it was, the repaired one, and what proves."""

from dataclasses import dataclass
from functools import cached_property

from anomech.kernel.types import Overlay, Progress
from anomech.repair.plan import Proving, RepairPlan
from anomech.repair.subject import Subject
from anomech.roles.task import Task


@dataclass(frozen=True)
class Context:
    """A repaired model under proof.

    Attributes:
        subject: the model as it was, and the examples.
        overlay: of the repaired one.
        plan: of the repair.
        progress: told about every stage.
    """

    subject: Subject
    overlay: Overlay
    plan: RepairPlan
    progress: Progress

    @property
    def asked(self) -> Proving:
        """What the repair must stand."""
        return self.plan.proof

    @cached_property
    def repaired(self) -> Task:
        """The repaired model."""
        return self.subject.task.with_(self.overlay)

    @property
    def target_words(self) -> str:
        """The answer of flagged inputs in words."""
        target = self.subject.target
        if target is None:
            return ""
        groups = self.subject.trusted.repair.groups.new_tensor([target])
        return self.subject.task.group_words(groups)[0]
