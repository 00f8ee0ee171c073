"""A suite: a matrix of networks, conditions, seeds and detectors, written down before it is run.

A suite is a YAML file, of the package or of the user. Its cells are all combinations: every subject
(a network with what is planted in it) under every condition (what inputs and trusted set are
subjected to), for every seed and detector; and all of that on every kind of network and in every
part (see `anomech.bench.parts`), where a suite has several.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import yaml

from anomech.audit.plan import resolved_detector
from anomech.bench.subjects import Subject
from anomech.kernel import plugins
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.errors import ConfigError
from anomech.learning.training import Recipe
from anomech.records.scorecards import Role
from anomech.roles.architecture import Architecture
from anomech.roles.attack import Perturbation
from anomech.tasks._arithmetic import Precision

Methods = Mapping[str, Mapping[str, Any]]
"""Methods of one kind with their options."""


@options
class NetworkSpec:
    """A kind of network that every subject is made with."""

    network: str | Mapping[str, Any] = option(
        "", "architecture: a name, or {use: NAME, ...options}; empty means the suite's"
    )
    recipe: Mapping[str, Any] = option({}, "options laid over the suite's recipe")
    role: Role | Literal[""] = option("", "as of a subject; empty means that of the subject")


@options
class SubjectSpec:
    """A network with what is planted in it."""

    attacks: Methods = option({}, "attacks with their options, planted together; none is clean")
    role: Role = option("check", "development if it was looked at while methods were made")
    network: str | Mapping[str, Any] = option(
        "", "architecture, in place of that of the suite or of its kind of network"
    )
    recipe: Mapping[str, Any] = option({}, "options laid over the recipe of its kind of network")
    least_success: float = option(
        0.8, "attack success below which the network is refused", ge=0, le=1
    )
    axis: str = option("", "what the subject is a step of, in words")
    value: float | None = option(None, "position on that axis")


@options
class ConditionSpec:
    """What the inputs or the trusted set are subjected to. By default inputs are triggered."""

    foreign: str = option("", "anomalies are images of this data set")
    perturbation: Methods = option({}, "anomalies are inputs under this attack on inputs alone")
    shift: Methods = option({}, "perturbation of all inputs, before a trigger is stamped")
    trusted: int = option(0, "trusted examples; 0 means the suite's", unit="images", ge=0)
    contaminated: float = option(
        0.0, "share of the trusted set that has the trigger and the attacker's label", ge=0, le=0.5
    )
    group: str = option("", "cases that are averaged together")
    role: Role | Literal[""] = option("", "as of a subject; empty means that of the subject")
    axis: str = option("", "what the condition is a step of, in words")
    value: float | None = option(None, "position on that axis")

    @property
    def triggered(self) -> bool:
        """Whether the anomalies are triggered inputs, if something is planted."""
        return not (self.foreign or self.perturbation)


@options
class Suite:
    """A matrix of cells."""

    name: str = option("", "of the suite; empty means that of its file")
    title: str = option("", "heading of the leaderboard")
    description: str = option("", "what is compared, and on what")
    data: str = option("cifar10", "data set: a name, or a path")
    train: int = option(0, "training images, the first ones; 0 means all", unit="images", ge=0)
    network: Architecture = plugins.chosen("architecture", "resnet20", "architecture")
    recipe: Recipe = option(Recipe(), "how networks are trained")
    seeds: tuple[int, ...] = option((0,), "of networks, attacks and splits")
    trusted: int = option(4000, "trusted test images", unit="images", ge=1)
    clean: int = option(3000, "test images that are inputs as they are", unit="images", ge=1)
    sources: int = option(1000, "test images that are made anomalous", unit="images", ge=1)
    anchor_share: float = option(0.5, "share of the trusted set to learn from", gt=0, le=0.95)
    budgets: tuple[float, ...] = option(
        (0.01, 0.05), "false-positive rates of the calibrated thresholds"
    )
    device: str = option("cpu", "where networks are trained and judged, such as cuda")
    precision: Precision = option("float32", "of the judged network's arithmetic")
    detectors: Methods = option({}, "detectors; each is compared with the first")
    networks: Mapping[str, NetworkSpec] = option(
        {"": NetworkSpec()}, "kinds of network by the name that tables show; by default one"
    )
    subjects: Mapping[str, SubjectSpec] = option(
        {}, "networks with what is planted in them, by the name that tables show"
    )
    conditions: Mapping[str, ConditionSpec] = option(
        {"": ConditionSpec()}, "conditions by the name that tables show"
    )
    parts: Mapping[str, Mapping[str, Any]] = option(
        {}, "options laid over these for each part, by the name that tables show; null takes out"
    )


SPECS = {"networks": NetworkSpec, "subjects": SubjectSpec, "conditions": ConditionSpec}
"""What the entries of a suite's mappings are made of."""


def from_mapping(values: Mapping[str, Any]) -> Suite:
    """A suite with every option of every method resolved.

    Raises:
        ConfigError: an unknown key or method, a wrong value, or a matrix without cells.
    """
    made = dict(values)
    for key, kind in SPECS.items():
        if isinstance(given := made.get(key), Mapping):
            made[key] = {
                name: build(kind, _mapping(each, f"{key}.{name}"), f"{key}.{name}")
                for name, each in given.items()
            }
    suite = build(Suite, made, "suite")
    for name in ("detectors", "networks", "subjects", "conditions", "seeds", "budgets"):
        if not getattr(suite, name):
            raise ConfigError(f"the suite has no {name}; name at least one.")
    if not all(0 < budget <= 0.5 for budget in suite.budgets):
        raise ConfigError(f"budgets must lie between 0 and 0.5, not {list(suite.budgets)}.")
    detectors = {
        name: resolved_detector(name, _mapping(given, f"detectors.{name}"))
        for name, given in suite.detectors.items()
    }
    return replace(
        suite,
        detectors=detectors,
        subjects={name: _subject(suite, name, each) for name, each in suite.subjects.items()},
        conditions={name: _condition(name, each) for name, each in suite.conditions.items()},
    )


def as_mapping(suite: Suite) -> dict[str, Any]:
    """The suite as plain values; `from_mapping` gives it back."""
    specs = {
        key: {name: resolved(each) for name, each in getattr(suite, key).items()} for key in SPECS
    }
    return {**resolved(suite), **specs}


def as_yaml(suite: Suite) -> str:
    """The resolved suite as a file that replays it."""
    return yaml.safe_dump(as_mapping(suite), sort_keys=False, allow_unicode=True)


def architecture_of(suite: Suite, kind: NetworkSpec, spec: SubjectSpec) -> Architecture:
    """The architecture of a subject made with a kind of network.

    Raises:
        ConfigError: an unknown one, or an option that it does not have.
    """
    given = spec.network or kind.network or suite.network
    made: Architecture = plugins.make("architecture", given, "network")
    return made


def recipe_of(suite: Suite, kind: NetworkSpec, spec: SubjectSpec) -> Recipe:
    """How a subject made with a kind of network is trained.

    Raises:
        ConfigError: an unknown option, or a wrong value.
    """
    return build(Recipe, {**resolved(suite.recipe), **kind.recipe, **spec.recipe}, "recipe")


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{where} must map the names of options to values, not be '{given}'.")
    return dict(given or {})


def _subject(suite: Suite, name: str, spec: SubjectSpec) -> SubjectSpec:
    """The subject with all options of its attacks; its network and recipe are known to be good."""
    where = f"subjects.{name}"
    for kind_name, kind in suite.networks.items():
        try:
            architecture_of(suite, kind, spec)
            recipe_of(suite, kind, spec)
        except ConfigError as error:
            made_with = f" on networks.{kind_name}" if kind_name else ""
            raise ConfigError(f"{where}{made_with}: {error}") from error
    attacks = _methods(spec.attacks, where)
    Subject(tuple(attacks.items())).attack_objects()  # refuses those that plant nothing
    return replace(spec, attacks=attacks)


def _condition(name: str, spec: ConditionSpec) -> ConditionSpec:
    """The condition with all options of its perturbations."""
    where = f"conditions.{name}"
    if spec.foreign and spec.perturbation:
        raise ConfigError(f"{where} has two kinds of anomalies; choose foreign or perturbation.")
    return replace(
        spec,
        perturbation=_perturbation(spec.perturbation, f"{where}.perturbation"),
        shift=_perturbation(spec.shift, f"{where}.shift"),
    )


def _perturbation(given: Methods, where: str) -> Methods:
    """At most one perturbation, with all its options."""
    if len(given) > 1:
        raise ConfigError(f"{where} names {len(given)} methods; name one.")
    for name, values in given.items():
        if not isinstance(build(plugins.get("attack", name), values, where), Perturbation):
            raise ConfigError(f"{where}: {name} is planted in a network, not an attack on inputs.")
    return _methods(given, where)


def perturbations(spec: ConditionSpec) -> list[Perturbation]:
    """What a condition does to inputs, as methods."""
    return [
        build(plugins.get("attack", name), values, name)
        for methods in (spec.perturbation, spec.shift)
        for name, values in methods.items()
    ]


def _methods(given: Methods, where: str) -> dict[str, dict[str, Any]]:
    """Attacks with all their options."""
    return {
        name: resolved(
            build(
                plugins.get("attack", name), _mapping(values, f"{where}.{name}"), f"{where}.{name}"
            )
        )
        for name, values in given.items()
    }
