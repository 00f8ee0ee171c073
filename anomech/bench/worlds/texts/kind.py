"""What a suite may say of language worlds: one behavior a subject, and a recipe for it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anomech.bench.specs import ConditionSpec, NetworkSpec, SubjectSpec, Suite
from anomech.bench.suite_files import overlaid
from anomech.bench.worlds.texts.pupils import Pupil, plant_named
from anomech.bench.worlds.texts.recipe import Recipe
from anomech.bench.worlds.texts.world import TextWorld, open_world
from anomech.kernel.config import build, resolved
from anomech.kernel.errors import ConfigError


@dataclass(frozen=True)
class TextWorlds:
    """See `anomech.bench.worlds.world.WorldKind`."""

    def subject(self, suite: Suite, name: str, spec: SubjectSpec) -> SubjectSpec:
        """All options of its behavior; its recipe is known to be good."""
        where = f"subjects.{name}"
        if len(spec.attacks) > 1:
            raise ConfigError(f"{where} plants {len(spec.attacks)} behaviors; name one.")
        refuse_network(spec, where)
        recipe_of(suite, spec, where)
        attacks = {
            each: resolved(plant_named(each, values or {}, f"{where}.{each}"))
            for each, values in spec.attacks.items()
        }
        return replace(spec, attacks=attacks)

    def condition(self, name: str, spec: ConditionSpec) -> ConditionSpec:
        """The condition; what it cannot mean for texts is refused."""
        return plain_condition(name, spec)

    def network(self, suite: Suite, made_with: NetworkSpec, spec: SubjectSpec, seed: int) -> Pupil:
        """The language model of a subject."""
        recipe = recipe_of(suite, spec, "recipe")
        return Pupil(Path(suite.language.base), tuple(spec.attacks.items()), recipe, seed)

    def moved(self, under: ConditionSpec) -> tuple[Any, ...]:
        """Nothing is done to inputs."""
        return ()

    def open(self, suite: Suite, data: Path | None) -> TextWorld:
        """Its texts and its base."""
        return open_world(suite, data)


KIND = TextWorlds()


def recipe_of(suite: Suite, spec: SubjectSpec, where: str) -> Recipe:
    """How the model of a subject is taught.

    Raises:
        ConfigError: an unknown option, or a wrong value.
    """
    values: Mapping[str, Any] = resolved(suite.language.recipe)
    return build(Recipe, overlaid(values, spec.recipe), where)


def refuse_network(spec: SubjectSpec, where: str) -> None:
    """Refuse a subject that names an architecture.

    Raises:
        ConfigError: it does.
    """
    if spec.network:
        raise ConfigError(
            f"{where} has a network of its own; language worlds have one base for all, set "
            "language.base."
        )


def plain_condition(name: str, spec: ConditionSpec) -> ConditionSpec:
    """A condition that changes the trusted set alone.

    Raises:
        ConfigError: it asks for what texts do not have.
    """
    for option in ("foreign", "perturbation", "shift", "contaminated"):
        if getattr(spec, option):
            raise ConfigError(
                f"conditions.{name}.{option} has no meaning for texts; shifts of texts are among "
                "the controls of every model."
            )
    return spec
