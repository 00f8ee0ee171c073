"""The plan of `anomech train`: everything that decides the numbers of a training."""

from collections.abc import Mapping
from typing import Any

from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.trainer import Trainer


@options
class TrainingPlan:
    """A training."""

    trainer: Trainer = plugins.chosen("trainer", "standard", "how the network is trained")
    data: str = option("", "data set: a name, or a folder with train and test")
    train: int = option(0, "training images, the first ones; 0 means all", unit="images", ge=0)
    outliers: str = option("", "foreign images: a data set's name, a folder or a file")
    network: Architecture = plugins.chosen("architecture", "resnet14", "architecture")
    factory: str = option("", "FILE.py:function that returns a network of your own, instead")
    recipe: Recipe = option(Recipe(), "schedule")
    attacked: int = option(
        200, "test images that an adversary moves in the end", unit="images", ge=0
    )
    eps: float = option(8.0, "how far it moves them", unit="gray levels of 255", ge=0)
    device: str = option("", "where it trains; empty takes a GPU if there is one")
    seed: int = option(0, "of everything random", ge=0)


def from_mapping(values: Mapping[str, Any]) -> TrainingPlan:
    """A plan with every option resolved.

    Raises:
        ConfigError: an unknown key, a wrong value, no data, or outliers that do not fit.
    """
    plan = build(TrainingPlan, values, "plan")
    if not plan.data:
        raise ConfigError(
            "the plan names no data; give --data a name or a folder with train and test."
        )
    name = plugins.name_of("trainer", plan.trainer)
    if plan.trainer.exposed and not plan.outliers:
        raise ConfigError(f"{name} learns from outliers; give --outliers a name or a folder.")
    if plan.outliers and not plan.trainer.exposed:
        raise ConfigError(f"{name} has no use for outliers; leave them out, or train with halo.")
    return plan


def as_yaml(plan: TrainingPlan) -> str:
    """The resolved plan as a file that replays it."""
    return write_yaml(resolved(plan))
