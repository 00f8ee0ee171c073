"""Which detectors run with how much of a model, and what is left out for want of more."""

from collections.abc import Mapping
from typing import Any

from anomech.audit.plan import BASELINES, LEAD
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError
from anomech.records import Finding
from anomech.roles.access import Access, access, within

_ASKED: dict[str, dict[str, Any]] = {
    "scale_up": {},
    "teco": {},
    "prediction_consistency": {},
    "neo": {},
    "frequency": {},
}
_GRADED = {"confidence": {}, "energy": {}, "loss_level": {}, **_ASKED}
_READ = {"layer_mahalanobis": {}, "mahalanobis": {}, "knn": {}, "vae": {}, "strip": {}, **_GRADED}
_MEMBERS = {**_ASKED, "neo": {"boxes": 30, "carriers": 12}, "teco": {"severities": 1}}

PICKED: Mapping[Access, Mapping[str, Mapping[str, Any]]] = {
    Access.labels: {"consensus": {"members": _MEMBERS}, **_ASKED},
    Access.probabilities: {"consensus": {}, "strip": {}, **_GRADED},
    Access.activations: _READ,
    Access.gradients: {**_READ, "cognitive_distillation": {}},
    Access.weights: {name: {} for name in (LEAD, *BASELINES)},
}
"""What runs if no detector is named, with options; the first of them gives the verdicts."""


def access_of(name: str) -> tuple[str, ...]:
    """What a detector takes of a model at its defaults, in words, the most first."""
    return access(plugins.get("detector", name)().needs)


def left_out(given: Access) -> dict[str, str]:
    """All detectors that take more than this, with what they take."""
    found = {}
    for name in plugins.names("detector"):
        try:
            needs = plugins.get("detector", name)().needs
        except ConfigError:  # of another package, and broken; whoever asks for it is told
            continue
        if not within(needs, given) and name not in PICKED[given]:  # there with other members
            found[name] = " and ".join(access(needs))
    return found


def limited(given: str) -> list[Finding]:
    """What a person should know of an audit with so much access; nothing if it has all."""
    if not given or given == Access.weights:
        return []
    rows = ", ".join(f"{name} ({takes})" for name, takes in left_out(Access(given)).items())
    return [
        Finding(
            code="limited-access",
            severity="info",
            title=f"Of the model no more than {given} could be seen",
            detail=f"Left out, because they take more: {rows}.",
            action="Where the weights can be had, audit them: what answers alone show is little.",
        )
    ]
