"""The kinds of worlds by the name that a suite gives them."""

from importlib import import_module
from typing import TYPE_CHECKING

from anomech.bench.worlds.world import WorldKind

if TYPE_CHECKING:
    from anomech.bench.specs import Suite


def kind_of(suite: "Suite") -> WorldKind:
    """The kind of a suite's worlds; the module `anomech.bench.worlds.NAME.kind` holds it."""
    found: WorldKind = import_module(f"anomech.bench.worlds.{suite.world}.kind").KIND
    return found
