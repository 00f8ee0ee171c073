"""A profile: everything that judges a model's inputs, in one file, without the trusted examples.

The file names the model it was fitted to by a fingerprint and is refused for another. What a
restored profile says of an input is bit for bit what the fresh one says, on any engine.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.detectors import make_detector
from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.trusted import TrustedSet
from anomech.audit.load.fingerprints import device_of, fingerprint
from anomech.audit.load.saved import damaged, read_saved, write_saved
from anomech.kernel import plugins
from anomech.kernel.config import USE, build, resolved
from anomech.kernel.errors import AnomechError, DataError, ModelError
from anomech.kernel.types import Engine
from anomech.observing.preparing import knowing, knowledge
from anomech.observing.traces import FittedSource
from anomech.records import Finding, Sensitivity
from anomech.roles.detector import Detector, FittedDetector
from anomech.roles.task import Task
from anomech.roles.tracer import PlacedSource, Tracer, TraceSource
from anomech.storage.state import Links, fitted_kind, pack, unpack


def write_profile(
    path: Path, fitted: Fitted, plan: Mapping[str, Any], basis: str = "", model: str = ""
) -> None:
    """Write a profile, whole or not at all.

    Args:
        path: of the file.
        fitted: what it holds.
        plan: options that it was fitted with, in the form of a plan.
        basis: hash of what it rests on, for whoever keeps it to come back to.
        model: fingerprint of the model; empty takes it, which reads all of its tensors.

    Raises:
        CapabilityError: a detector or its tracer holds what cannot be saved, such as the trusted
            examples that drive a chain.
        RunError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    facts = {
        "model": model or fingerprint(fitted.task),
        "watched": list(fitted.task.watched),
        "basis": basis,
        "plan": dict(plan),
        **_packed(fitted, tensors),
    }
    write_saved(path, facts, tensors)


def read_profile(path: Path, task: Task, model: str = "") -> tuple[Fitted, dict[str, Any]]:
    """What a profile holds, for the model it was fitted to, and the options of its plan.

    Args:
        path: of the file.
        task: the model.
        model: its fingerprint; empty takes it, which reads all of its tensors.

    Raises:
        DataError: there is no such file, it is no profile, it was changed, or another version of
            this package wrote it.
        ModelError: it was fitted to another model, or to other parameters of it.
    """
    facts, tensors = read_saved(path)
    if facts["model"] != (model or fingerprint(task)):
        raise ModelError(
            f"{path.name} was fitted to another model than this one (their tensors differ); fit "
            "one with `anomech fit`."
        )
    task = knowing(task, facts.get("task"))
    if facts.get("watched") != list(task.watched):
        raise ModelError(
            f"{path.name} was fitted while other parameters of the model were watched; watch the "
            "same ones, or fit one with `anomech fit`."
        )
    try:
        return _unpacked(facts, task, tensors), facts["plan"]
    except (AnomechError, LookupError, TypeError, ValueError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(damaged(path, first[:200])) from None


def kept_profile(path: Path, task: Task, basis: str, model: str = "") -> Fitted | None:
    """The profile that a run has kept, if it still holds; None if not.

    Args:
        path: of the file.
        task: the model.
        basis: hash of what it must rest on, see `anomech.audit.load.provenance.basis`.
        model: as for `read_profile`.
    """
    try:
        if read_saved(path)[0]["basis"] != basis:
            return None
        return read_profile(path, task, model)[0]
    except AnomechError:
        return None  # it is fitted again, which also mends the file


def _packed(fitted: Fitted, tensors: dict[str, Tensor]) -> dict[str, Any]:
    sources = [each.source for each in fitted.sources]
    links: Links = {Task: [fitted.task], Engine: []}
    seen: Links = {**links, TraceSource: sources}
    return {
        "task": knowledge(fitted.task),
        "noticed": [each.model_dump() for each in fitted.noticed],
        "sources": [
            {
                "tracer": plugins.described("tracer", each.tracer),
                "seed": each.seed,
                "state": pack(
                    each.source, fitted_kind(each.tracer), links, tensors, f"sources.{place}"
                ),
            }
            for place, each in enumerate(fitted.sources)
        ],
        "detectors": {
            name: {
                "options": resolved(each.detector),
                "state": pack(each.fitted, fitted_kind(each.detector), seen, tensors, name),
                "calibration": pack(
                    each,
                    Calibrated,
                    {Detector: [each.detector], FittedDetector: [each.fitted]},
                    tensors,
                    f"{name}.calibration",
                ),
            }
            for name, each in fitted.detectors.items()
        },
        "lead": fitted.lead.name,
        "seconds": dict(fitted.seconds),
        "tracing": dict(fitted.tracing),
        "skipped": dict(fitted.skipped),
        "sensitivity": [each.model_dump() for each in fitted.sensitivity],
        "trusted": pack(fitted.trusted, TrustedSet, {}, tensors, "trusted"),
    }


def _unpacked(facts: Mapping[str, Any], task: Task, tensors: Mapping[str, Tensor]) -> Fitted:
    links: Links = {Task: [task], Engine: []}
    device = device_of(task)
    sources = []
    for place, each in enumerate(facts["sources"]):
        tracer = _tracer(each["tracer"])
        kind = fitted_kind(tracer)
        source = unpack(kind, each["state"], links, tensors, f"sources.{place}")
        if isinstance(source, PlacedSource):
            source = source.on_device(device)
        sources.append(FittedSource(tracer, int(each["seed"]), None, source, 0.0))
    seen: Links = {**links, TraceSource: [each.source for each in sources]}
    detectors = {}
    for name, each in facts["detectors"].items():
        detector = make_detector(name, each["options"])
        fitted = unpack(fitted_kind(detector), each["state"], seen, tensors, name)
        given: Links = {Detector: [detector], FittedDetector: [fitted]}
        detectors[name] = unpack(
            Calibrated, each["calibration"], given, tensors, f"{name}.calibration"
        )
    return Fitted(
        trusted=unpack(TrustedSet, facts["trusted"], {}, tensors, "trusted"),
        detectors=detectors,
        lead=detectors[facts["lead"]],
        seconds={name: float(each) for name, each in facts["seconds"].items()},
        tracing={name: float(each) for name, each in facts["tracing"].items()},
        skipped={str(name): str(why) for name, why in facts["skipped"].items()},
        sources=tuple(sources),
        task=task,
        noticed=tuple(Finding(**each) for each in facts["noticed"]),
        sensitivity=tuple(Sensitivity(**each) for each in facts["sensitivity"]),
    )


def _tracer(facts: Mapping[str, Any]) -> Tracer:
    """A tracer from its options and name; only those of installed packages have one."""
    options = {name: value for name, value in facts.items() if name != USE}
    tracer: Tracer = build(plugins.get("tracer", str(facts[USE])), options, "tracer")
    return tracer
