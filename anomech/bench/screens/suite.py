"""A suite of screens: training sets with known poison, and what each screen makes of them.

It is a YAML file of a bench with `kind: screening`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from anomech.bench.specs import Methods
from anomech.bench.worlds.images.subjects import Subject
from anomech.kernel import plugins
from anomech.kernel.config import USE, build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.attack import DataAttack, LearnedAttack


@options
class ScreenSuite:
    """Training sets by case, each screened by each screen and trained on without suspects."""

    kind: Literal["screening"] = option("screening", "tells it from other suites")
    name: str = option("", "of the suite")
    title: str = option("", "heading of the tables")
    description: str = option("", "what is compared, and on what")
    data: str = option("cifar10", "data set")
    train: int = option(0, "training images; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "resnet14", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    cases: Methods = option(
        {}, "attacks by case, each {use: NAME, ...options}; {use: none} plants nothing"
    )
    check: tuple[str, ...] = option(
        (), "cases that nothing was chosen by; the others are of development"
    )
    screens: Methods = option(
        {}, "screens by name, each {...options}, and {use: NAME} where that is another"
    )
    trusted: int = option(300, "test images that screens get", unit="images", ge=40)
    retrain: bool = option(True, "train again without the suspects of each screen")
    seed: int = option(0, "of networks, attacks and screens", ge=0)


def from_mapping(values: Mapping[str, Any]) -> ScreenSuite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, an attack that poisons no data, or nothing to do.
    """
    suite = build(ScreenSuite, values, "suite")
    if not suite.cases or not suite.screens:
        raise ConfigError("the suite has no cases or no screens; name at least one of each.")
    if strange := set(suite.check) - set(suite.cases):
        raise ConfigError(f"check names '{min(strange)}', which is none of the cases.")
    cases = {
        name: {USE: "none"} if _plants_nothing(each) else _resolved("attack", each, name)
        for name, each in suite.cases.items()
    }
    screens = {
        name: _resolved("screen", {USE: name, **each}, f"screens.{name}")
        for name, each in suite.screens.items()
    }
    suite = replace(suite, cases=cases, screens=screens)
    for name in suite.cases:
        for attack in subject(suite, name).attack_objects():
            if not isinstance(attack, DataAttack | LearnedAttack):
                raise ConfigError(f"{name} trains by itself and leaves no training set to screen.")
    return suite


def subject(suite: ScreenSuite, case: str) -> Subject:
    """What is planted in a case, and how it is trained."""
    values = dict(suite.cases[case])
    name = str(values.pop(USE))
    planted = () if name == "none" else ((name, values),)
    return Subject(planted, suite.network, suite.recipe, suite.seed)


def as_yaml(suite: ScreenSuite) -> str:
    """The resolved suite as a file that replays it."""
    return write_yaml(resolved(suite))


def _plants_nothing(given: Mapping[str, Any]) -> bool:
    return dict(given) == {USE: "none"}


def _resolved(kind: str, given: Any, where: str) -> dict[str, Any]:
    return plugins.described(kind, plugins.make(kind, dict(given), where))
