"""What a suite may say of sentence worlds: one trigger a subject, and the steps of its recipe."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from anomech.bench.specs import ConditionSpec, NetworkSpec, SubjectSpec, Suite
from anomech.bench.worlds.sentences.learning import Reader, trigger_named
from anomech.bench.worlds.sentences.reading import corpus_of
from anomech.bench.worlds.sentences.world import SentenceWorld, open_sentences
from anomech.bench.worlds.texts.kind import plain_condition, recipe_of, refuse_network
from anomech.kernel.config import resolved
from anomech.kernel.errors import ConfigError


@dataclass(frozen=True)
class SentenceWorlds:
    """See `anomech.bench.worlds.world.WorldKind`."""

    def subject(self, suite: Suite, name: str, spec: SubjectSpec) -> SubjectSpec:
        """All options of its trigger; set and recipe are known to be good."""
        where = f"subjects.{name}"
        if len(spec.attacks) > 1:
            raise ConfigError(f"{where} plants {len(spec.attacks)} triggers; name one.")
        refuse_network(spec, where)
        recipe_of(suite, spec, where)
        names = corpus_of(suite.data).names
        attacks = {}
        for each, values in spec.attacks.items():
            trigger = trigger_named(each, values or {}, f"{where}.{each}")
            if trigger.target >= len(names):
                raise ConfigError(
                    f"{where}.{each}.target is {trigger.target}, but '{suite.data}' has labels "
                    f"from 0 to {len(names) - 1}."
                )
            attacks[each] = resolved(trigger)
        return replace(spec, attacks=attacks)

    def condition(self, name: str, spec: ConditionSpec) -> ConditionSpec:
        """The condition; what it cannot mean for texts is refused."""
        return plain_condition(name, spec)

    def network(self, suite: Suite, made_with: NetworkSpec, spec: SubjectSpec, seed: int) -> Reader:
        """The classifier of a subject."""
        schedule = recipe_of(suite, spec, "recipe").plant
        base, attacks = Path(suite.language.base), tuple(spec.attacks.items())
        return Reader(base, suite.data, attacks, schedule, seed)

    def moved(self, under: ConditionSpec) -> tuple[Any, ...]:
        """Nothing is done to inputs."""
        return ()

    def open(self, suite: Suite, data: Path | None) -> SentenceWorld:
        """Its sentences and its base."""
        return open_sentences(suite, data)


KIND = SentenceWorlds()
