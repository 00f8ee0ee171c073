"""A suite of stealth: attacks on one kind of network, what they leave, and what finds them.

It is a YAML file of a bench with `kind: stealth`.
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


@options
class StealthSuite:
    """Attacks, and the repairs, detectors and scanners that are tried on each."""

    kind: Literal["stealth"] = option("stealth", "tells it from other suites")
    name: str = option("", "of the suite")
    title: str = option("", "heading of the tables")
    description: str = option("", "what is compared, and on what")
    data: str = option("cifar10", "data set")
    train: int = option(0, "training images; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "resnet14", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    attacks: Methods = option({}, "attacks by name, each {use: NAME, ...options}")
    repairs: Methods = option({}, "mitigations by name, each {use: NAME, ...options}")
    detectors: Methods = option({}, "detectors by name, each {use: NAME, ...options}")
    scanners: Methods = option({}, "scanners by name, each {use: NAME, ...options}")
    trusted: int = option(
        500, "test images that repairs, scanners and detectors get", unit="images", ge=40
    )
    judged: int = option(500, "test images that everything is measured on", unit="images", ge=20)
    seed: int = option(0, "of networks, attacks and splits", ge=0)
    device: str = option("cpu", "where networks are trained and judged, such as cuda")


KINDS = {
    "attacks": "attack",
    "repairs": "mitigation",
    "detectors": "detector",
    "scanners": "scanner",
}
"""Kind of the methods of each option."""


def from_mapping(values: Mapping[str, Any]) -> StealthSuite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, an attack that plants nothing, or no attack.
    """
    suite = build(StealthSuite, values, "suite")
    if not suite.attacks:
        raise ConfigError("the suite has no attacks; name at least one.")
    found = {
        option: {
            name: _resolved(kind, {USE: name, **(each or {})}, f"{option}.{name}")
            for name, each in getattr(suite, option).items()
        }
        for option, kind in KINDS.items()
    }
    suite = replace(
        suite,
        attacks=found["attacks"],
        repairs=found["repairs"],
        detectors=found["detectors"],
        scanners=found["scanners"],
    )
    for name in suite.attacks:
        subject(suite, name).attack_objects()  # refuses those that plant nothing
    return suite


def subject(suite: StealthSuite, attack: str) -> Subject:
    """The network that an attack is planted in; the clean twin if it is empty."""
    planted: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    if attack:
        values = dict(suite.attacks[attack])
        planted = ((str(values.pop(USE)), values),)
    return Subject(planted, suite.network, suite.recipe, suite.seed)


def _resolved(kind: str, given: Any, where: str) -> dict[str, Any]:
    return plugins.described(kind, plugins.make(kind, dict(given), where))


def as_yaml(suite: StealthSuite) -> str:
    """The resolved suite as a file that replays it."""
    return write_yaml(resolved(suite))
