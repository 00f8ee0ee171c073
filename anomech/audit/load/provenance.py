"""Where the numbers of a run come from; no user names, no absolute paths."""

import hashlib
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain

import numpy as np
import torch

from anomech.audit.load.loading import Loaded, fingerprint
from anomech.records import Provenance, Run


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).replace(microsecond=0).isoformat()


def collect(loaded: Loaded, seed: int) -> Provenance:
    """Versions, device, seed and fingerprints."""
    task = loaded.task
    return Provenance(
        anomech=version("anomech"),
        python=platform.python_version(),
        torch=torch.__version__,
        numpy=np.__version__,
        device=str(next(iter(task.watched.values())).device),
        threads=torch.get_num_threads(),
        seed=seed,
        model=fingerprint(task.network),
        parameters=sum(tensor.numel() for tensor in task.network.parameters()),
        watched=sum(tensor.numel() for tensor in task.watched.values()),
        reference=combined(loaded.reference.digests()),
        inputs=combined(loaded.inputs.digests()),
    )


def basis(loaded: Loaded) -> str:
    """Hash of all that verdicts rest on besides the plan and the pixels of the inputs."""
    parts = (version("anomech"), torch.__version__, fingerprint(loaded.task.network))
    return combined(chain(parts, loaded.reference.digests(), loaded.inputs.ids))


def changed(run: Run, loaded: Loaded) -> list[str]:
    """What has other content now than in a finished run, in words."""
    if run.provenance is None:
        return []
    now_and_then = {
        "the model's tensors": (fingerprint(loaded.task.network), run.provenance.model),
        "the trusted examples": (combined(loaded.reference.digests()), run.provenance.reference),
        "the inputs": (combined(loaded.inputs.digests()), run.provenance.inputs),
    }
    return [name for name, (here, there) in now_and_then.items() if here != there]


def combined(texts: Iterable[str]) -> str:
    """One short hash of many texts, in order."""
    digest = hashlib.blake2b(digest_size=8)
    for number, text in enumerate(texts):
        digest.update(f"\n{text}".encode() if number else text.encode())
    return digest.hexdigest()
