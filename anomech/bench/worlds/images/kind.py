"""What a suite may say of image worlds: attacks of the registry, and perturbations."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anomech.bench.specs import ConditionSpec, Methods, NetworkSpec, SubjectSpec, Suite
from anomech.bench.worlds.images import datasets
from anomech.bench.worlds.images.scene import Material, check_sizes
from anomech.bench.worlds.images.subjects import Subject
from anomech.bench.worlds.images.world import ImageWorld
from anomech.kernel import plugins
from anomech.kernel.config import build, resolved
from anomech.kernel.errors import ConfigError
from anomech.learning.training import Recipe
from anomech.roles.architecture import Architecture
from anomech.roles.attack import Perturbation
from anomech.storage.code import NUMBERLESS, code_digest


@dataclass(frozen=True)
class ImageWorlds:
    """See `anomech.bench.worlds.world.WorldKind`."""

    def subject(self, suite: Suite, name: str, spec: SubjectSpec) -> SubjectSpec:
        """All options of its attacks; its network and recipe are known to be good."""
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

    def condition(self, name: str, spec: ConditionSpec) -> ConditionSpec:
        """All options of its perturbations."""
        where = f"conditions.{name}"
        if spec.foreign and spec.perturbation:
            raise ConfigError(
                f"{where} has two kinds of anomalies; choose foreign or perturbation."
            )
        return replace(
            spec,
            perturbation=_perturbation(spec.perturbation, f"{where}.perturbation"),
            shift=_perturbation(spec.shift, f"{where}.shift"),
        )

    def network(
        self, suite: Suite, made_with: NetworkSpec, spec: SubjectSpec, seed: int
    ) -> Subject:
        """The attacked classifier."""
        architecture = architecture_of(suite, made_with, spec)
        recipe = recipe_of(suite, made_with, spec)
        return Subject(tuple(spec.attacks.items()), architecture, recipe, seed)

    def moved(self, under: ConditionSpec) -> tuple[Any, ...]:
        """What a condition does to inputs, as methods."""
        return tuple(
            build(plugins.get("attack", name), values, name)
            for methods in (under.perturbation, under.shift)
            for name, values in methods.items()
        )

    def open(self, suite: Suite, data: Path | None) -> ImageWorld:
        """Its images, and a hash of all that its cells have in common."""
        sets = datasets.load(suite.data, data).first(suite.train)
        check_sizes(suite, len(sets.test[1]))
        names = dict.fromkeys(each.foreign for each in suite.conditions.values() if each.foreign)
        foreign = {name: datasets.foreign(name, data, sets.test[0]) for name in names}
        code = code_digest(
            "anomech.bench.work", "anomech.bench.worlds.images.world", apart_from=NUMBERLESS
        )
        digest = hashlib.sha256(f"{version('anomech')} {torch.__version__} {code}".encode())
        for array in (*sets.train, *sets.test, *foreign.values()):
            digest.update(np.ascontiguousarray(array).data)
        return ImageWorld(Material(suite, sets, foreign), digest.hexdigest()[:16])


KIND = ImageWorlds()


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


def _perturbation(given: Methods, where: str) -> Methods:
    """At most one perturbation, with all its options."""
    if len(given) > 1:
        raise ConfigError(f"{where} names {len(given)} methods; name one.")
    for name, values in given.items():
        if not isinstance(build(plugins.get("attack", name), values, where), Perturbation):
            raise ConfigError(f"{where}: {name} is planted in a network, not an attack on inputs.")
    return _methods(given, where)


def _methods(given: Methods, where: str) -> dict[str, dict[str, Any]]:
    """Attacks with all their options."""
    made = {}
    for name, values in given.items():
        place = f"{where}.{name}"
        if values is not None and not isinstance(values, Mapping):
            raise ConfigError(
                f"{place} must map the names of options to values, not be '{values}'."
            )
        made[name] = resolved(build(plugins.get("attack", name), dict(values or {}), place))
    return made
