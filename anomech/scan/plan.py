"""The plan of a scan: everything that decides what it finds, in one file that replays it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.roles.scanner import WeighingScanner
from anomech.roles.source import Source
from anomech.roles.task_options import TaskOptions

SCANNERS = (
    *("channel_lipschitz", "channel_spread", "output_weights", "singular_outliers"),
    *("neural_cleanse", "maximum_margin", "universal_perturbation", "universal_warp"),
)
"""What runs if nothing else is asked for: weights, and searches that need no clean networks."""


@options
class ScanPlan:
    """A scan of a model."""

    files: str = option("", "file or folder of the model's, looked through; nothing in it is run")
    model: Source = plugins.chosen("source", "factory", "where the model to scan comes from")
    reference: str = option("", "trusted examples, without which no trigger is searched")
    task: TaskOptions = plugins.chosen(
        "task", "image_classifier", "how inputs reach the model, and which parameters move"
    )
    base: str = option("", "weights that the model was tuned from")
    clean_models: tuple[str, ...] = option(
        (), "weights of clean models of the same architecture, to compare with"
    )
    level: float = option(
        0.05, "chance of a false finding on a clean model that is accepted", ge=1e-6, le=0.5
    )
    held_out: float = option(
        0.3, "share of the trusted set kept to confirm triggers on", gt=0, le=0.9
    )
    second_opinion: bool = option(False, "ask picklescan about pickles as well")
    attribute: bool = option(
        True, "judge what finds something by an audit of inputs with the recovered trigger"
    )
    seed: int = option(0, "of everything random", ge=0)
    scanners: Mapping[str, Mapping[str, Any]] = option(
        {name: {} for name in SCANNERS}, "scanners with their options"
    )

    @property
    def title(self) -> str:
        """What a report calls the model before it is opened, without folders."""
        return self.model.title if self.opens_model else Path(self.files).name or "model"

    @property
    def opens_model(self) -> bool:
        """Whether the plan names a model that can be opened, and not files alone."""
        try:
            self.model.check()
        except ConfigError:
            return False
        return True

    def method(self, name: str) -> Any:
        """The scanner of this name, with the plan's options."""
        given = dict(self.scanners[name])
        return build(plugins.get("scanner", name), given, f"scanners.{name}")


def from_mapping(values: Mapping[str, Any]) -> ScanPlan:
    """A plan with every option of every scanner resolved.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    plan = build(ScanPlan, values, "plan")
    scanners = {
        name: resolved(build(plugins.get("scanner", name), dict(given or {}), f"scanners.{name}"))
        for name, given in plan.scanners.items()
    }
    return build(ScanPlan, {**resolved(plan), "scanners": scanners}, "plan")


def check_named(plan: ScanPlan) -> None:
    """Refuse a plan that does not say what to scan.

    Raises:
        ConfigError: it names nothing, or triggers to be searched in no model.
    """
    if plan.reference:
        plan.model.check()
    if not plan.files and not plan.reference:
        raise ConfigError(
            "the plan names nothing to scan; give --weights FILE or FOLDER, or a model with "
            "--model FACTORY.py:make_model and trusted examples with --reference PATH."
        )


def as_yaml(plan: ScanPlan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return write_yaml(resolved(plan))


NAMING = ("files", "model", "reference", "base", "clean_models")
"""What only says where things are; digests of their content stand in the record."""


def deciding(plan: ScanPlan) -> dict[str, Any]:
    """The options that decide what is found, without paths, which mean nothing elsewhere."""
    values = {name: each for name, each in resolved(plan).items() if name not in NAMING}
    task = values["task"].items()
    return {**values, "task": {k: each for k, each in task if k not in plan.task.placing}}


def weighs(scanner: object) -> bool:
    """Whether a scanner needs no more than weights."""
    return isinstance(scanner, WeighingScanner)
