"""A suite of whole networks: which are trained, what is planted in them, and which scanners judge.

Every subject is made at every seed, and every scanner judges every network. Which networks are
check, looked at once, is written down in the suite before anything is run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from anomech.bench.specs import Methods
from anomech.bench.worlds.images.subjects import Subject
from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError, shown
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.records.modelcards import CLEAN
from anomech.records.scorecards import Role
from anomech.roles.architecture import Architecture

ROOM = "anomech.bench.models"
"""The package that suites of whole networks come with."""

MARK = "scanners"
"""A suite that has this option is one of whole networks."""


@options
class ModelSpec:
    """A network, with what is planted in it."""

    attacks: Methods = option({}, "attacks with their options, planted together; none is clean")
    role: Role = option("check", "development if it was looked at while methods were made")
    kind: str = option(
        "dirty label", "what is planted, coarsely; networks of one kind are counted together"
    )
    network: str | Mapping[str, Any] = option(
        "", "architecture: a name, or {use: NAME, ...options}; empty means the suite's"
    )
    recipe: Mapping[str, Any] = option({}, "options laid over the suite's recipe")
    least_success: float = option(
        0.8, "attack success below which the network is refused", ge=0, le=1
    )


@options
class ModelSuite:
    """Networks times scanners."""

    name: str = option("", "of the suite; empty means that of its file")
    title: str = option("", "heading of the leaderboard")
    description: str = option("", "what is compared, and on what")
    data: str = option("digits", "data set: a name, or a path")
    train: int = option(0, "training images, the first ones; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "resnet20", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    seeds: tuple[int, ...] = option((0,), "of networks, attacks and splits")
    trusted: int = option(500, "test images that scanners are given", unit="images", ge=10)
    level: float = option(0.05, "chance of a false finding that is accepted", gt=0, le=0.5)
    device: str = option("cpu", "where networks are trained and judged, such as cuda")
    scanners: Methods = option({}, "scanners with their options")
    combined: tuple[str, ...] = option(
        (), "scanners whose p-values are combined to a verdict; empty means all"
    )
    subjects: Mapping[str, ModelSpec] = option({}, "networks by the name that tables show")


@dataclass(frozen=True)
class Made:
    """One network of a suite.

    Attributes:
        name: of its folder.
        subject: its name in the suite.
        spec: what the suite says of it.
        network: everything that determines it but for the data.
    """

    name: str
    subject: str
    spec: ModelSpec
    network: Subject

    @property
    def kind(self) -> str:
        """What is planted, coarsely."""
        return self.spec.kind if self.spec.attacks else CLEAN

    @property
    def target(self) -> int | None:
        """The class that the one trigger leads every input to; None if there is no such class."""
        goals = [attack.goal for attack in self.network.attack_objects()]
        return goals[0].target if len(goals) == 1 and goals[0].map == "all_to_one" else None


def from_mapping(values: Mapping[str, Any]) -> ModelSuite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, a wrong value, or nothing to run.
    """
    given = dict(values)
    specs = given.get("subjects") or {}
    if not isinstance(specs, Mapping):
        raise ConfigError("subjects must map names to networks.")
    for name, each in specs.items():
        if each is not None and not isinstance(each, Mapping):
            raise ConfigError(
                f"subjects.{name} must map the names of options to values, not be {shown(each)}."
            )
    given["subjects"] = {
        name: build(ModelSpec, dict(each or {}), f"subjects.{name}") for name, each in specs.items()
    }
    suite = build(ModelSuite, given, "suite")
    for name in ("scanners", "subjects", "seeds"):
        if not getattr(suite, name):
            raise ConfigError(f"the suite has no {name}; name at least one.")
    unknown = [name for name in suite.combined if name not in suite.scanners]
    if unknown:
        raise ConfigError(f"the suite combines '{unknown[0]}', which is none of its scanners.")
    scanners = {
        name: resolved(plugins.make("scanner", {"use": name, **dict(each or {})}, name))
        for name, each in suite.scanners.items()
    }
    suite = replace(suite, scanners=scanners)
    for each in networks(suite):
        each.network.attack_objects()  # refuses what plants nothing
    return suite


def as_yaml(suite: ModelSuite) -> str:
    """The resolved suite as a file that replays it."""
    subjects = {name: resolved(each) for name, each in suite.subjects.items()}
    values = {**resolved(suite), "subjects": subjects}
    return write_yaml(values)


def networks(suite: ModelSuite) -> Iterator[Made]:
    """Every network of a suite, seed by seed."""
    for seed in suite.seeds:
        for subject, spec in suite.subjects.items():
            recipe = build(Recipe, {**resolved(suite.recipe), **spec.recipe}, f"{subject}.recipe")
            network = plugins.make("architecture", spec.network or suite.network, "network")
            made = Subject(tuple(spec.attacks.items()), network, recipe, seed)
            name = "".join(c if c.isalnum() or c in "-." else "_" for c in subject)
            yield Made(f"{name}-seed{seed}", subject, spec, made)
