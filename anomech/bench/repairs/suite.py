"""A suite of repairs: networks with backdoors, shares of trusted images, methods; a YAML file."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from anomech.bench.repairs.automatic import NAME, Automatic
from anomech.bench.specs import SubjectSpec
from anomech.bench.worlds.images.subjects import Subject
from anomech.kernel import plugins
from anomech.kernel.config import USE, build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.mitigation import Mitigation

ROOM = "anomech.bench.repairs"
"""The package that suites of repairs come with."""

MARK = "methods"
"""A suite that has this option is one of repairs."""


@options
class TrustedSpec:
    """What the trusted set is."""

    share: float = option(0.05, "size, as a share of the training set", gt=0, le=1)
    shift: Mapping[str, Mapping[str, Any]] = option({}, "perturbation of the trusted images")
    contaminated: float = option(
        0.0, "share that has the trigger and the attacker's label", ge=0, le=0.5
    )
    methods: tuple[str, ...] = option((), "methods tried with it; empty means all")


@options
class RepairSuite:
    """A matrix of repairs."""

    name: str = option("", "of the suite; empty means that of its file")
    title: str = option("", "heading of the leaderboard")
    description: str = option("", "what is compared, and on what")
    data: str = option("digits", "data set: a name, or a path")
    train: int = option(0, "training images, the first ones; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "digits", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    seeds: tuple[int, ...] = option((0,), "of networks, attacks and splits")
    flagged: int = option(50, "inputs that an audit flagged", unit="images", ge=4)
    false_flags: float = option(0.1, "share of these that have no trigger", ge=0, le=0.9)
    poisons: tuple[int, ...] = option((1, 5, 20, 50), "poisoned images of the relearning curve")
    device: str = option("cpu", "where networks are trained and repaired")
    subjects: Mapping[str, SubjectSpec] = option(
        {}, "networks with what is planted in them, by the name that tables show"
    )
    trusted: Mapping[str, TrustedSpec] = option(
        {"5 %": TrustedSpec()}, "trusted sets by the name that tables show"
    )
    methods: Mapping[str, Mapping[str, Any]] = option(
        {}, "repairs with their options, by the name that tables show; `use` if it is not its own"
    )


@dataclass(frozen=True)
class RepairCell:
    """One method on one network with one trusted set.

    Attributes:
        subject: name of the network.
        trusted: name of the trusted set.
        method: name of the repair.
        seed: of everything random.
    """

    subject: str
    trusted: str
    method: str
    seed: int

    @property
    def id(self) -> str:
        """Its name on disk and in tables."""
        return f"{self.subject}/{self.trusted}/s{self.seed}/{self.method}"


def from_mapping(values: Mapping[str, Any]) -> RepairSuite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, a wrong value, or a matrix without cells.
    """
    made = dict(values)
    for key, kind in (("subjects", SubjectSpec), ("trusted", TrustedSpec)):
        if isinstance(given := made.get(key), Mapping):
            made[key] = {name: build(kind, dict(v or {}), key) for name, v in given.items()}
    suite = build(RepairSuite, made, "suite")
    if not (suite.subjects and suite.methods and suite.trusted):
        raise ConfigError("a suite of repairs needs subjects, trusted sets and methods.")
    for spec in suite.subjects.values():
        Subject(tuple(spec.attacks.items())).attack_objects()
    methods = {
        name: {USE: used(name, given), **resolved(method_of(name, given))}
        for name, given in suite.methods.items()
    }
    return build(RepairSuite, {**resolved(suite), **_specs(suite), "methods": methods}, "suite")


def used(row: str, given: Mapping[str, Any] | None) -> str:
    """Name of the repair behind a row, which may be called otherwise to have other options."""
    return str((given or {}).get(USE, row))


def method_of(row: str, given: Mapping[str, Any] | None) -> Mitigation:
    """The repair behind a row of the tables, with its options.

    Raises:
        ConfigError: no such repair, or an option that it has not.
    """
    name = used(row, given)
    kind = Automatic if name == NAME else plugins.get("mitigation", name)
    values = {key: value for key, value in (given or {}).items() if key != USE}
    made: Mitigation = build(kind, values, row)
    return made


def _specs(suite: RepairSuite) -> dict[str, Any]:
    return {"subjects": suite.subjects, "trusted": suite.trusted}


def as_yaml(suite: RepairSuite) -> str:
    """The resolved suite as a file that replays it."""
    specs = {
        key: {name: resolved(each) for name, each in found.items()}
        for key, found in _specs(suite).items()
    }
    return write_yaml({**resolved(suite), **specs})


def cells(suite: RepairSuite) -> Iterator[RepairCell]:
    """All combinations; those of one network follow one another."""
    for seed in suite.seeds:
        for subject in suite.subjects:
            for trusted, spec in suite.trusted.items():
                for method in suite.methods:
                    if not spec.methods or method in spec.methods:
                        yield RepairCell(subject, trusted, method, seed)


def subject_of(suite: RepairSuite, name: str, seed: int) -> Subject:
    """The attacked network of a name."""
    spec = suite.subjects[name]
    recipe = build(Recipe, {**resolved(suite.recipe), **spec.recipe}, "recipe")
    network = plugins.make("architecture", spec.network or suite.network, "network")
    return Subject(tuple(spec.attacks.items()), network, recipe, seed)
