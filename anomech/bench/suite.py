"""A suite: a matrix of networks, conditions, seeds and detectors, written down before it is run.

A suite is a YAML file, of the package or of the user. Its cells are all combinations: every subject
(a network with what is planted in it) under every condition (what inputs and trusted set are
subjected to), for every seed and detector; and all of that on every kind of network and in every
part (see `anomech.bench.parts`), where a suite has several. What subjects and conditions may say is
for its world (see `anomech.bench.worlds.world`).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from anomech.audit.plan import resolved_detector
from anomech.bench.specs import ConditionSpec, NetworkSpec, SubjectSpec, Suite
from anomech.bench.worlds.known import kind_of
from anomech.kernel.config import build, resolved
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import write_yaml

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
    world = kind_of(suite)
    detectors = {
        name: resolved_detector(name, _mapping(given, f"detectors.{name}"))
        for name, given in suite.detectors.items()
    }
    return replace(
        suite,
        detectors=detectors,
        subjects={name: world.subject(suite, name, each) for name, each in suite.subjects.items()},
        conditions={name: world.condition(name, each) for name, each in suite.conditions.items()},
    )


def as_mapping(suite: Suite) -> dict[str, Any]:
    """The suite as plain values; `from_mapping` gives it back."""
    specs = {
        key: {name: resolved(each) for name, each in getattr(suite, key).items()} for key in SPECS
    }
    return {**resolved(suite), **specs}


def as_yaml(suite: Suite) -> str:
    """The resolved suite as a file that replays it."""
    return write_yaml(as_mapping(suite))


def _mapping(given: Any, where: str) -> dict[str, Any]:
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{where} must map the names of options to values, not be '{given}'.")
    return dict(given or {})
