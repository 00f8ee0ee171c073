"""Options that several commands share, in groups; each says what it sets in a plan."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from anomech.cli.options import (
    AccessTo,
    Adapter,
    Backdoorbench,
    Base,
    Budget,
    Crop,
    Detectors,
    Factory,
    Fast,
    Full,
    Keys,
    Memory,
    PassTimeout,
    PlanFile,
    Power,
    Resize,
    Seed,
    Settings,
    Weights,
    WeightsKey,
    Workers,
)

FLAGSHIP = "detectors.functional_attribution"

FAST: dict[str, Any] = {f"{FLAGSHIP}.tracer": "last_layer", f"{FLAGSHIP}.twins.rungs": 0}
"""What `--fast` sets: no pass backward, and no copies that go on learning."""

ROLES = ("images", "labels", "ids")
"""Arrays that `--key` names."""


class Group(Protocol):
    """Options of a command line that belong together."""

    def asked(self) -> dict[str, Any]:
        """Settings by their dotted place in a plan; empty ones were not given.

        Raises:
            ConfigError: options that do not go together, or a value that is none.
        """
        ...


@dataclass(frozen=True)
class Network:
    """Which model."""

    model: Factory = ""
    weights: Weights = ""
    weights_key: WeightsKey = ""
    backdoorbench: Backdoorbench = ""
    adapter: Adapter = ""
    base: Base = ""

    def asked(self) -> dict[str, Any]:
        """See `Group`; a model on the command line replaces one of another source in a plan."""
        from anomech.kernel.errors import ConfigError

        own = self.weights or self.weights_key
        tuned = self.adapter or self.base
        if only_asked := _only_asked(self.model):
            if self.backdoorbench or own or tuned:
                raise ConfigError(
                    "a model that is only asked brings its weights; give --model 'command:...' or "
                    "http://... alone."
                )
            return only_asked
        if self.backdoorbench:
            if self.model or own or tuned:
                raise ConfigError(
                    "give one model and not both: a factory with weights, a Hugging Face folder or "
                    "a BackdoorBench file."
                )
            return {"model": {"use": "backdoorbench", "file": self.backdoorbench}}
        # A name that is no folder and has weights beside it was meant to be a function.
        named = self.model and is_folder(self.model)
        if tuned or (named and (os.path.isdir(self.model) or not self.weights)):
            if own:
                raise ConfigError(
                    "a Hugging Face folder brings its weights; leave --weights and --weights-key "
                    "out."
                )
            return _folder(self.model, self.adapter, self.base)
        source = "factory" if self.model or self.weights else ""
        names = {"use": source, "factory": self.model, "weights": self.weights}
        return {f"model.{name}": value for name, value in names.items()} | {
            "model.key": self.weights_key
        }


@dataclass(frozen=True)
class Reading:
    """How files become examples."""

    keys: Keys = None
    resize: Resize = None
    crop: Crop = None

    def asked(self) -> dict[str, Any]:
        """See `Group`."""
        sizes = {"task.reading.resize": self.resize, "task.reading.crop": self.crop}
        return {**_arrays(self.keys or []), **sizes}


@dataclass(frozen=True)
class Judging:
    """How inputs are judged."""

    budget: Budget = None
    detector: Detectors = None
    access: AccessTo = None
    fast: Fast = False
    full: Full = False
    sensitivity: Power = None

    def asked(self) -> dict[str, Any]:
        """See `Group`; detectors are not among it, for they replace those of a plan."""
        return {
            "budget": self.budget,
            "access": self.access,
            **(FAST if self.fast else {}),
            f"{FLAGSHIP}.cascade.full": self.full or None,
            "sensitivity.asked": {None: None, True: "always", False: "never"}[self.sensitivity],
        }


@dataclass(frozen=True)
class Running:
    """From which plan, and how it runs."""

    seed: Seed = None
    plan: PlanFile = None
    settings: Settings = None
    workers: Workers = None
    memory: Memory = ""
    pass_timeout: PassTimeout = 0.0

    def asked(self) -> dict[str, Any]:
        """See `Group`; the plan file and `--set` are laid below and above it."""
        return {
            "seed": self.seed,
            "task.memory": mebibytes(self.memory) if self.memory else None,
            "task.pass_timeout": self.pass_timeout or None,
        }

    @property
    def readers(self) -> int:
        """Processes that read files ahead; by default one less than processors, 4 at most."""
        if self.workers is not None:
            return self.workers
        return min(4, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else 1)


def mebibytes(size: str) -> int:
    """MiB of a size such as 512MB, 4GB or 1.5 GiB.

    Raises:
        ConfigError: it is no size, less than a mebibyte or beyond any machine.
    """
    from anomech.kernel.errors import ConfigError, shortened

    found = re.fullmatch(r"\s*([0-9.]+)\s*([MGT])i?B\s*", size, re.IGNORECASE)
    try:
        number = float(found[1]) if found else 0.0
    except ValueError:
        number = 0.0
    scale = {"M": 1, "G": 2**10, "T": 2**20}[found[2].upper() if found else "M"]
    if not 1 <= number * scale < 2**32:
        raise ConfigError(f"--memory takes a size such as 512MB or 4GB, not '{shortened(size)}'.")
    return int(number * scale)


def _only_asked(model: str) -> dict[str, Any]:
    """Settings for a model that a program or an address answers for; none if it is no such."""
    if model.startswith("command:"):
        source = {"use": "command", "command": model.removeprefix("command:")}
    elif re.match(r"https?://", model):
        source = {"use": "url", "url": model}
    else:
        return {}
    return {"model": source, "task.use": "black_box"}


def is_folder(model: str) -> bool:
    """Whether what stands for a model is a folder, there or not, and no FILE.py:function."""
    return os.path.isdir(model) or not re.search(r"\.py\b|:", model)


def _folder(model: str, adapter: str, base: str) -> dict[str, Any]:
    """Settings for a Hugging Face folder; its architecture chooses the task, which is said.

    Raises:
        ModelError: there is no such folder, or no task for its architecture.
        UnsafeCheckpoint: it brings code of its own.
    """
    from anomech.artefacts.hugging_face_folders import is_adapter, looked_at
    from anomech.cli.console import plain, warn
    from anomech.kernel.plugins import get

    folders = {"folder": model, "adapter": adapter, "base": base}
    named = {f"model.{name}": path for name, path in folders.items()}
    if not model:  # a plan names it
        return named
    get("source", "hugging_face")(**folders).check()
    found = looked_at(base if is_adapter(Path(model)) else model)
    warn(f"{plain(found.architecture)}, audited as {found.kind}.", label="model")
    return {"model.use": "hugging_face", "task.use": found.kind, **named}


def _arrays(keys: list[str]) -> dict[str, str]:
    """Settings that name the arrays of an `.npz`.

    Raises:
        ConfigError: a key that is no ROLE=NAME.
    """
    from anomech.kernel.errors import ConfigError, shown

    found = {}
    for key in keys:
        role, _, name = key.partition("=")
        if role not in ROLES or not name:
            raise ConfigError(
                f"--key takes ROLE=NAME with a role of {', '.join(ROLES)}, such as images=x_test, "
                f"not {shown(key)}."
            )
        found[f"task.reading.{role}"] = name
    return found
