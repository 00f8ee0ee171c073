"""Suites of several parts: each is the suite with some of its options laid over.

So one suite can say what differs between data sets, such as sizes, schedules and the size of a
trigger, without naming every network on every one of them.
"""

from collections.abc import Mapping
from typing import Any

from anomech.bench.specs import Suite
from anomech.bench.suite import as_mapping, from_mapping
from anomech.bench.suite_files import overlaid, pruned
from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError

BASE = "base"
"""Names the part that another one is laid over."""

OWN = (
    *("world", "data", "train", "recipe", "language", "trusted", "clean", "sources"),
    *("networks", "subjects", "conditions"),
)
"""Options that a part may have of its own; the others hold for the whole suite."""


def parts_of(suite: Suite) -> dict[str, Suite]:
    """The parts of a suite by name, each a suite without parts; "" is all of one that has none.

    Raises:
        ConfigError: a part has an option that holds for the whole suite, or a wrong one.
    """
    if not suite.parts:
        return {"": suite}
    whole = {**as_mapping(suite), "parts": {}}
    return {name: _part(whole, suite.parts, name) for name in suite.parts}


def _part(whole: Mapping[str, Any], parts: Mapping[str, Mapping[str, Any]], name: str) -> Suite:
    over = dict(parts[name])
    if (base := over.pop(BASE, None)) is not None:
        if base not in parts or BASE in parts[base]:
            free = [each for each in parts if BASE not in parts[each]]
            raise ConfigError(
                f"parts.{name} is based on '{base}', which is no part without a base: "
                f"{nearest(str(base), free)}"
            )
        over = overlaid(parts[base], over)
    for option in over:
        if option not in OWN:
            raise ConfigError(
                f"parts.{name} cannot have its own '{option}': {nearest(option, [BASE, *OWN])}"
            )
    try:
        return from_mapping(pruned(overlaid(whole, over)))
    except ConfigError as error:
        raise ConfigError(f"parts.{name}: {error}") from error
