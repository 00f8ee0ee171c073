"""Where the numbers of a run come from; no user names, no absolute paths."""

import json
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from anomech.audit.load.fingerprints import combined, device_of, numbers
from anomech.audit.load.loading import Loaded
from anomech.kernel.errors import RunError
from anomech.records import Provenance, Run
from anomech.roles.task import Task


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def collect(
    loaded: Loaded, task: Task, trusted: Iterable[str], seed: int, options: Mapping[str, Any]
) -> Provenance:
    """Versions, device, seed and fingerprints.

    Args:
        loaded: model and inputs.
        task: the model when it had seen trusted examples.
        trusted: digests of the trusted examples.
        seed: of the run.
        options: that decide findings, without paths.
    """
    return Provenance(
        anomech=version("anomech"),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(device_of(task)),
        threads=torch.get_num_threads(),
        seed=seed,
        model=loaded.model,
        parameters=numbers(task),
        watched=sum(tensor.numel() for tensor in task.watched.values()),
        reference=combined(trusted),
        inputs=combined(loaded.inputs.digests()),
        options=deciding(options),
    )


def deciding(options: Mapping[str, Any]) -> str:
    """Hash of options that decide findings."""
    return combined([json.dumps(options, sort_keys=True, default=str)])


def basis(model: str, trusted: Iterable[str], code: str) -> str:
    """Hash of all that fitted detectors rest on besides the plan.

    Args:
        model: its fingerprint.
        trusted: digests of the trusted examples.
        code: hash of the sources that fit and judge.
    """
    parts = (version("anomech"), torch.__version__, code, model)
    return combined(chain(parts, trusted))


def changed(run: Run, loaded: Loaded) -> list[str]:
    """What has other content now than in a finished run, in words."""
    if run.provenance is None:
        return []
    now_and_then = {
        "the model's tensors": (loaded.model, run.provenance.model),
        "the trusted examples": (_trusted(loaded, run.provenance), run.provenance.reference),
        "the inputs": (combined(loaded.inputs.digests()), run.provenance.inputs),
    }
    return [name for name, (here, there) in now_and_then.items() if here != there]


def check_same(out: Path, kind: str, here: Provenance, there: Provenance | None) -> None:
    """Refuse a finished run of something else: the same paths may lead to other content by now.

    Args:
        out: folder of the finished run.
        kind: of the run, as messages say it.
        here: where numbers of the same plan would come from now.
        there: where those of the finished run came from.

    Raises:
        RunError: the content differs.
    """
    words = {"model": "the model", "reference": "the trusted examples", "inputs": "the inputs"}
    differing = [
        said
        for name, said in words.items()
        if (before := getattr(there, name, "")) and before != getattr(here, name)
    ]
    if differing:
        raise RunError(
            f"{out} holds a finished {kind} of this plan, but since then {' and '.join(differing)} "
            "changed; choose another --out."
        )


def _trusted(loaded: Loaded, before: Provenance) -> str:
    """Hash of the trusted examples; a profile holds them fast."""
    reference = loaded.reference
    return before.reference if reference is None else combined(reference.digests())
