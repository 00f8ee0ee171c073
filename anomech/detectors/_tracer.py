"""The tracer a detector was asked to use."""

from collections.abc import Mapping
from typing import Any

from anomech import plugins
from anomech.config import build
from anomech.types import Tracer


def chosen_tracer(name: str, given: Mapping[str, Any]) -> Tracer:
    """The tracer of this name with its options.

    Raises:
        ConfigError: no such tracer or option.
    """
    tracer: Tracer = build(plugins.get("tracer", name), dict(given), f"tracer {name}")
    return tracer
