"""A profile: everything that judges a model's inputs, in one file, without the trusted examples.

The file is safetensors: tensors, and in its header one JSON text that says what they are. Reading
it runs nothing. It names the model it was fitted to by a fingerprint and is refused for another; a
digest over all of it tells a damaged file. What a restored profile says of an input is bit for bit
what the fresh one says, on any engine.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from anomech.audit.judge.calibrated import Calibrated
from anomech.audit.judge.detectors import make_detector
from anomech.audit.judge.fitting import Fitted
from anomech.audit.judge.trusted import TrustedSet
from anomech.audit.load.provenance import basis, fingerprint
from anomech.kernel import plugins
from anomech.kernel.config import USE, build, resolved
from anomech.kernel.detector import Detector, FittedDetector
from anomech.kernel.errors import AnomechError, DataError, ModelError, RunError
from anomech.kernel.state import Links, fitted_kind, pack, unpack
from anomech.kernel.task import Task
from anomech.kernel.tracer import PlacedSource, Tracer, TraceSource
from anomech.kernel.types import Engine
from anomech.observing.traces import FittedSource

SCHEMA = 1
HEADER = "anomech"
"""Key of the JSON text in the file's header."""


def write_profile(path: Path, fitted: Fitted, task: Task, plan: Mapping[str, Any]) -> None:
    """Write a profile, whole or not at all.

    Args:
        path: of the file.
        fitted: what it holds.
        task: the model that it was fitted to.
        plan: options that it was fitted with, in the form of a plan.

    Raises:
        CapabilityError: a detector or its tracer holds what cannot be saved, such as the trusted
            examples that drive a chain.
        RunError: the file cannot be written.
    """
    tensors: dict[str, Tensor] = {}
    facts: dict[str, Any] = {
        "schema": SCHEMA,
        "anomech": version("anomech"),
        "model": fingerprint(task),
        "basis": basis(task, fitted.trusted.digests),
        "plan": dict(plan),
        **_packed(fitted, task, tensors),
    }
    written = {name: _written(tensor) for name, tensor in tensors.items()}
    facts["digest"] = _digest(facts, written)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(written, temporary, {HEADER: json.dumps(facts, allow_nan=False)})
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):  # its folder may not exist or may be read-only
            temporary.unlink(missing_ok=True)
        raise RunError(
            f"{path.name} could not be written ({error}); free some space or choose another place."
        ) from None


def read_profile(path: Path, task: Task) -> tuple[Fitted, dict[str, Any]]:
    """What a profile holds, for the model it was fitted to, and the options of its plan.

    Raises:
        DataError: there is no such file, it is no profile, it was changed, or another version of
            this package wrote it.
        ModelError: it was fitted to another model.
    """
    facts, tensors = _read(path)
    if facts["model"] != fingerprint(task):
        raise ModelError(
            f"{path.name} was fitted to another model than this one (their tensors differ); fit "
            "one with `anomech fit`."
        )
    try:
        return _unpacked(facts, task, tensors), facts["plan"]
    except (AnomechError, LookupError, TypeError, ValueError, AttributeError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(_damaged(path, first[:200])) from None


def kept_profile(path: Path, task: Task, trusted: Sequence[str]) -> Fitted | None:
    """The profile that a run has kept, if it still holds; None if not.

    It holds for the same model, the same trusted examples and the same software.

    Args:
        path: of the file.
        task: the model.
        trusted: digests of the trusted examples.
    """
    try:
        if _read(path)[0]["basis"] != basis(task, trusted):
            return None
        return read_profile(path, task)[0]
    except AnomechError:
        return None  # it is fitted again, which also mends the file


def plan_of(path: Path) -> dict[str, Any]:
    """The options that a profile was fitted with, before any model is loaded.

    Raises:
        DataError: as for `read_profile`.
    """
    plan: dict[str, Any] = _read(path)[0]["plan"]
    return plan


def _packed(fitted: Fitted, task: Task, tensors: dict[str, Tensor]) -> dict[str, Any]:
    sources = [each.source for each in fitted.sources]
    links: Links = {Task: [task], Engine: []}
    seen: Links = {**links, TraceSource: sources}
    return {
        "sources": [
            {
                "tracer": {USE: plugins.name_of("tracer", each.tracer), **resolved(each.tracer)},
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
        "trusted": pack(fitted.trusted, TrustedSet, {}, tensors, "trusted"),
    }


def _unpacked(facts: Mapping[str, Any], task: Task, tensors: Mapping[str, Tensor]) -> Fitted:
    links: Links = {Task: [task], Engine: []}
    device = next(iter(task.watched.values())).device
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
    )


def _tracer(facts: Mapping[str, Any]) -> Tracer:
    """A tracer from its options and name; only those of installed packages have one."""
    options = {name: value for name, value in facts.items() if name != USE}
    tracer: Tracer = build(plugins.get("tracer", str(facts[USE])), options, "tracer")
    return tracer


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of a file whose digest is right."""
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest, schema, author = facts.pop("digest"), facts["schema"], facts["anomech"]
        right = digest == _digest(facts, tensors)
    except FileNotFoundError:
        raise DataError(f"there is no profile at {path}; `anomech fit` writes one.") from None
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"{path.name} cannot be read as a profile ({str(error)[:100]}); `anomech fit` writes "
            "one."
        ) from None
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        raise DataError(f"{path.name} is no profile; `anomech fit` writes one.") from None
    if not right:
        raise DataError(_damaged(path, "its content does not belong to its digest"))
    if (schema, author) != (SCHEMA, version("anomech")):
        raise DataError(
            f"{path.name} was written by version {author} of this package, and its scores may have "
            "changed since; fit it again with `anomech fit`."
        )
    return facts, tensors


def _damaged(path: Path, why: str) -> str:
    return f"{path.name} is damaged or was changed ({why}); fit it again with `anomech fit`."


def _written(tensor: Tensor) -> Tensor:
    """As it goes into the file: on the CPU, with memory of its own."""
    here = tensor.cpu().contiguous()
    shared = here.untyped_storage().nbytes() != here.numel() * here.element_size()
    return here.clone() if shared or here is tensor else here


def _digest(facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
