"""Detectors by name, refused where the task cannot give what they need."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from anomech.kernel import plugins
from anomech.kernel.config import build, choice_of
from anomech.kernel.errors import CapabilityError
from anomech.roles.access import Access, access, within
from anomech.roles.detector import Detector, HeldOutDetector
from anomech.roles.task import Task, missing


def make_detector(name: str, options: Mapping[str, Any]) -> Detector:
    """The detector of this name with its options.

    Raises:
        ConfigError: no such detector or option.
    """
    return build(plugins.get("detector", name), options, f"detector {name}")


def only_learned_from(detector: Detector, anchor_share: float) -> float:
    """Share of the trusted set that a detector learns from and that cannot calibrate it.

    Args:
        detector: one that holds examples out by itself calibrates on all of them.
        anchor_share: that of any other.
    """
    return 0.0 if isinstance(detector, HeldOutDetector) else anchor_share


def check_access(name: str, detector: Detector, given: str) -> None:
    """Refuse a detector that takes more access to the model than it is to have.

    Args:
        name: of the detector.
        detector: with its options.
        given: one of `anomech.roles.access.Access`; empty is all that the model gives.

    Raises:
        CapabilityError: names what it takes.
    """
    if given and not within(detector.needs, Access(given)):
        raise CapabilityError(
            f"detector {name} takes {' and '.join(access(detector.needs))}, and --access gives "
            f"{given} at the most; choose another detector, or more access."
        )


def check_needs(name: str, detector: Detector, task: Task) -> None:
    """Refuse a detector before any compute if the task cannot give what it needs.

    Raises:
        CapabilityError: names what is missing.
    """
    if lacking := missing(detector.needs, task):
        raise CapabilityError(
            f"detector {name} needs {', '.join(lacking)}, which this {task.kind} does not give; "
            f"choose another {_to_blame(detector, task)}."
        )


def _to_blame(detector: Detector, task: Task) -> str:
    """What to choose otherwise: the method inside that needs too much, or the detector."""
    for field in fields(detector):  # type: ignore[arg-type]
        inside = getattr(detector, field.name)
        if choice_of(field) is not None and missing(inside.needs, task):
            return field.name
    return "detector"
