"""The plan of a repair: everything that decides what comes out, in one file that replays it."""

from collections.abc import Mapping
from typing import Any

from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.inversion import Inversion
from anomech.roles.source import Source
from anomech.roles.task_options import TaskOptions

AUTO = ("attribution_guided", "constrained_unlearning", "ft_sam", "fine_pruning")
"""What is tried if no method is named, the quickest of the good ones first."""


@options
class Proving:
    """What a repair must stand."""

    lost: float = option(0.05, "accuracy that a repair may cost", ge=0, le=1)
    flagged: float = option(
        0.1, "share of unseen flagged inputs that may still get their answer", ge=0, le=1
    )
    trigger: float = option(
        0.2, "share of trusted inputs that the recovered trigger may still lead", ge=0, le=1
    )
    inversion: Inversion = option(Inversion(), "how triggers are searched")
    controls: int = option(4, "other answers that are searched beside the flagged one", ge=1)
    poisons: tuple[int, ...] = option(
        (1, 5, 20, 50), "flagged inputs that the repaired model is taught again"
    )
    relearned: float = option(
        0.5, "share of flagged answers that may be back after `few` of these", ge=0, le=1
    )
    few: int = option(5, "relearned from so few, a mechanism was hidden and not removed", ge=1)
    audit: bool = option(True, "judge all inputs again with the repaired model")


@options
class RepairPlan:
    """A repair."""

    model: Source = plugins.chosen("source", "factory", "where the model to repair comes from")
    reference: str = option("", "trusted examples with labels")
    suspects: str = option("", "run folder of an audit whose flagged inputs are to be unlearned")
    mechanism: int | None = option(
        None, "the one of its mechanisms to repair; by default the largest"
    )
    task: TaskOptions = plugins.chosen(
        "task", "image_classifier", "how inputs reach the model, and which parameters move"
    )
    methods: Mapping[str, Mapping[str, Any]] = option(
        {name: {} for name in AUTO}, "repairs to try with their options; the best is kept"
    )
    seconds: float = option(
        0.0, "after so long no further method is begun; 0 is no limit", unit="seconds", ge=0
    )
    choosing: float = option(
        0.2, "share of the trusted examples that methods are chosen on", gt=0, le=0.5
    )
    proving: float = option(
        0.3, "share of the trusted examples that the proof rests on", gt=0, le=0.6
    )
    proof: Proving = option(Proving(), "what the repair must stand")
    budget: float = option(0.01, "false-positive rate of the second audit", ge=1e-6, le=0.5)
    seed: int = option(0, "of everything random", ge=0)

    @property
    def title(self) -> str:
        """What a report calls the model before it is opened, without folders."""
        return self.model.title


def from_mapping(values: Mapping[str, Any]) -> RepairPlan:
    """A plan with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or a wrong value, or no method.
    """
    plan = build(RepairPlan, values, "plan")
    if not plan.methods:
        raise ConfigError("the plan names no repair; give --method NAME, or leave it out.")
    if plan.choosing + plan.proving > 0.8:
        raise ConfigError("choosing and proving together leave less than a fifth to repair with.")
    methods = {name: resolved(method(name, given)) for name, given in plan.methods.items()}
    return build(RepairPlan, {**resolved(plan), "methods": methods}, "plan")


def method(name: str, given: Mapping[str, Any] | None) -> Any:
    """A repair of this name with options."""
    return build(plugins.get("mitigation", name), dict(given or {}), f"methods.{name}")


def check_named(plan: RepairPlan) -> None:
    """Refuse a plan that does not say what to repair.

    Raises:
        ConfigError: it names no model or no trusted examples.
    """
    plan.model.check()
    if not plan.reference:
        raise ConfigError(
            "a repair needs trusted examples with labels; give --reference PATH, or the run folder "
            "of an audit."
        )


def as_yaml(plan: RepairPlan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return write_yaml(resolved(plan))
