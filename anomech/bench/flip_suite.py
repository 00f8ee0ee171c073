"""A suite of flipped scores: trainers, detectors and foreign sets, under attack and not.

It is a YAML file of a bench with `kind: score_flips`.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from anomech.bench.specs import Methods
from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture


@options
class FlipSuite:
    """Networks by trainer, judged by detectors on foreign sets that an attacker may move."""

    kind: Literal["score_flips"] = option("score_flips", "tells it from other suites")
    name: str = option("", "of the suite")
    title: str = option("", "heading of the tables")
    description: str = option("", "what is compared, and on what")
    data: str = option("cifar10", "data set of normal images")
    train: int = option(0, "training images; 0 means all", unit="images", ge=0)
    outliers: str = option("", "data set that trainers learn to refuse")
    near: tuple[str, ...] = option((), "foreign data sets that resemble the normal one")
    far: tuple[str, ...] = option((), "foreign data sets that do not")
    network: Architecture = plugins.chosen("architecture", "resnet14", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    trainers: Methods = option({}, "trainers by name, each {use: NAME, ...options}")
    detectors: Methods = option({}, "detectors by name, each {use: NAME, ...options}")
    trusted: int = option(500, "normal images that detectors are fitted to", unit="images", ge=20)
    normal: int = option(500, "normal images that are judged", unit="images", ge=10)
    foreign: int = option(500, "images of each foreign set", unit="images", ge=10)
    eps: float = option(8.0, "how far images are moved", unit="gray levels of 255", ge=0)
    steps: int = option(40, "steps of the attack", ge=1)
    seeds: tuple[int, ...] = option((0,), "of networks and attacks")
    device: str = option("cpu", "where networks are trained and judged, such as cuda")

    @property
    def sets(self) -> tuple[tuple[str, bool], ...]:
        """Foreign sets, and whether they are near."""
        return (*((name, True) for name in self.near), *((name, False) for name in self.far))


def from_mapping(values: Mapping[str, Any]) -> FlipSuite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, or something that is missing.
    """
    suite = build(FlipSuite, values, "suite")
    for name in ("trainers", "detectors", "sets", "seeds"):
        if not getattr(suite, name):
            raise ConfigError(f"the suite has no {name.replace('sets', 'near or far sets')}.")
    methods = {
        kind: {
            name: _resolved(kind, each or {"use": name}, f"{kind}s.{name}")
            for name, each in getattr(suite, f"{kind}s").items()
        }
        for kind in ("trainer", "detector")
    }
    return replace(suite, trainers=methods["trainer"], detectors=methods["detector"])


def _resolved(kind: str, given: Any, where: str) -> dict[str, Any]:
    return plugins.described(kind, plugins.make(kind, dict(given), where))


def as_yaml(suite: FlipSuite) -> str:
    """The resolved suite as a file that replays it."""
    return write_yaml(resolved(suite))
