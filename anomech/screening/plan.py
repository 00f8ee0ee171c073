"""The plan of a screening: everything that decides what it finds, in one file that replays it."""

from collections.abc import Mapping
from typing import Any

from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.screen import Screen
from anomech.roles.source import Source
from anomech.roles.task_options import TaskOptions

ALONE = ("two_identities", "scan", "spectral_signatures", "activation_clustering")
"""What runs without trusted examples, the first of them deciding."""

COMPARING = ("functional_attribution", "agpd", *ALONE)
"""What runs with trusted examples, the first of them deciding."""


@options
class ScreeningPlan:
    """A screening of a training set."""

    data: str = option("", "training set, with labels as training sees them")
    reference: str = option("", "trusted examples with labels, which some screens need")
    model: Source = plugins.chosen("source", "factory", "a model that was trained on the data")
    network: Architecture = plugins.chosen(
        "architecture", "resnet14", "trained on the data if no model is given"
    )
    recipe: Recipe = option(Recipe(), "how it is trained")
    task: TaskOptions = plugins.chosen(
        "task", "image_classifier", "how examples reach the model, and which parameters move"
    )
    lead: str = option("", "screen that decides who is a suspect; empty is the first of them")
    screens: Mapping[str, Mapping[str, Any]] = option(
        {}, "screens with their options; none are those that fit what is given"
    )
    seed: int = option(0, "of everything random", ge=0)

    @property
    def opens_model(self) -> bool:
        """Whether the plan names a model, so that none is trained."""
        try:
            self.model.check()
        except ConfigError:
            return False
        return True

    @property
    def deciding(self) -> str:
        """The screen that decides who is a suspect."""
        return self.lead or next(iter(self.screens))

    def method(self, name: str) -> Screen:
        """The screen of this name, with the plan's options."""
        given = dict(self.screens[name])
        made: Screen = build(plugins.get("screen", name), given, f"screens.{name}")
        return made


def from_mapping(values: Mapping[str, Any]) -> ScreeningPlan:
    """A plan with every option of every screen resolved.

    Raises:
        ConfigError: an unknown key or a wrong value, no data, or a lead that is no screen of it.
    """
    plan = build(ScreeningPlan, values, "plan")
    if not plan.data:
        raise ConfigError("the plan names no training set; give --data PATH.")
    chosen = plan.screens or {name: {} for name in (COMPARING if plan.reference else ALONE)}
    screens = {
        name: resolved(build(plugins.get("screen", name), dict(given or {}), f"screens.{name}"))
        for name, given in chosen.items()
    }
    made = build(ScreeningPlan, {**resolved(plan), "screens": screens}, "plan")
    if made.deciding not in screens:
        raise ConfigError(
            f"the lead '{plan.lead}' is none of the screens; give --screen {plan.lead}."
        )
    if made.method(made.deciding).needs_trusted and not plan.reference:
        raise ConfigError(
            f"the screen {made.deciding} compares with trusted examples; give --reference PATH."
        )
    return made


def as_yaml(plan: ScreeningPlan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return write_yaml(resolved(plan))
