"""From the options of a command line to a plan."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anomech.audit.plan import Plan
    from anomech.evidence.baseline import Baseline

FLAGSHIP = "detectors.functional_attribution"

FAST: dict[str, Any] = {f"{FLAGSHIP}.tracer": "last_layer", f"{FLAGSHIP}.twins.rungs": 0}
"""What `--fast` sets: no pass backward, and no copies that go on learning. Of a language model the
gradients stay: its last layer alone is no trace."""

ROLES = ("images", "labels", "ids")
"""Arrays that `--key` names."""


def asked(
    *,
    model: str = "",
    weights: str = "",
    weights_key: str = "",
    backdoorbench: str = "",
    adapter: str = "",
    base: str = "",
    reference: str = "",
    profile: str = "",
    inputs: str = "",
    keys: Sequence[str] | None = None,
    resize: int | None = None,
    crop: int | None = None,
    budget: float | None = None,
    seed: int | None = None,
    memory: str = "",
    pass_timeout: float = 0.0,
    fast: bool = False,
    full: bool = False,
    sensitivity: bool | None = None,
    access: str = "",
) -> dict[str, Any]:
    """Settings by their place in a plan; what was not given has none.

    Raises:
        ConfigError: two models, a key that is none, or a size that is none.
    """
    named = {
        **_model(model, weights, backdoorbench, weights_key, adapter, base),
        "reference": reference,
        "profile": profile,
        "inputs": inputs,
        **_arrays(keys or ()),
        "task.reading.resize": resize,
        "task.reading.crop": crop,
        "budget": budget,
        "seed": seed,
        "access": access,
        "sensitivity.asked": {None: None, True: "always", False: "never"}[sensitivity],
        "task.memory": mebibytes(memory) if memory else None,
        "task.pass_timeout": pass_timeout or None,
        **(FAST if fast else {}),
        **({f"{FLAGSHIP}.cascade.full": True} if full else {}),
    }
    if fast and named.get("task.use") == "causal_lm":  # which keeps no logits of every example
        del named[f"{FLAGSHIP}.tracer"]
    return {name: value for name, value in named.items() if value not in ("", None)}


def plan_of(
    file: Path | None,
    given: dict[str, Any],
    detectors: Sequence[str],
    settings: Sequence[str],
) -> "Plan":
    """The plan file, the plan of the profile or the defaults; then the options, then --set."""
    from anomech.audit.plan import BASELINES, Plan, from_mapping, read_plan
    from anomech.audit.settings import assign, put
    from anomech.kernel.config import resolved

    values = read_plan(file) if file else resolved(Plan())
    if not file and not detectors and "profile" not in given:
        values |= _picked(given)
    if "profile" in given and not file:
        from anomech.audit.load.saved import peek

        values |= peek(Path(given["profile"]))["plan"]
    for name, value in given.items():
        values = put(values, name, value, Plan)
    if detectors:
        known = values.get("detectors") or {}
        chosen = dict.fromkeys([*detectors, *BASELINES])
        values = put(values, "lead", detectors[0], Plan)
        values = put(values, "detectors", {name: known.get(name, {}) for name in chosen}, Plan)
    return from_mapping(assign(values, settings, Plan))


def _picked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What runs with the access that is given, or that a model which only answers leaves.

    What it was and what is left out is said.
    """
    from anomech.audit.access import PICKED, left_out
    from anomech.cli.console import warn
    from anomech.roles.access import Access

    asked_alone = given.get("task.use") == "black_box"
    access = given.get("access") or (str(Access.probabilities) if asked_alone else "")
    if not access:
        return {}
    chosen = PICKED[Access(access)]
    told = f"{access}; {', '.join(chosen)} run"
    if beyond := left_out(Access(access)):
        words = ", ".join(f"{name} ({takes})" for name, takes in beyond.items())
        told += f". Left out, because they take more: {words}"
    warn(f"{told}.", label="access")
    return {"access": access, "lead": next(iter(chosen)), "detectors": dict(chosen)}


def accepted_in(file: Path | None) -> "Baseline | None":
    """What a baseline file accepts; read before any work, so that a damaged one is told at once.

    Raises:
        ConfigError: it is damaged, or an entry has no reason.
    """
    if file is None:
        return None
    from anomech.evidence.baseline import read

    return read(file)


def reading_processes(wanted: int | None) -> int:
    """Processes that read files ahead; by default one less than processors, 4 at most."""
    if wanted is not None:
        return wanted
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


def _model(
    model: str, weights: str, backdoorbench: str, key: str, adapter: str, base: str
) -> dict[str, Any]:
    """Settings for a model on the command line; it replaces one of another source in a plan.

    Raises:
        ConfigError: two sources are named.
    """
    from anomech.kernel.errors import ConfigError

    if asked_of := _asked(model):
        if backdoorbench or weights or key or adapter or base:
            raise ConfigError(
                "a model that is only asked brings its weights; give --model 'command:...' or "
                "http://... alone."
            )
        return asked_of
    if backdoorbench and (model or weights or key or adapter or base):
        raise ConfigError(
            "give one model and not both: a factory with weights, a Hugging Face folder or a "
            "BackdoorBench file."
        )
    if backdoorbench:
        return {"model": {"use": "backdoorbench", "file": backdoorbench}}
    # A name that is no folder and has weights beside it was meant to be a function.
    named = model and is_folder(model) and (os.path.isdir(model) or not weights)
    if adapter or base or named:
        if weights or key:
            raise ConfigError(
                "a Hugging Face folder brings its weights; leave --weights and --weights-key out."
            )
        return _folder(model, adapter, base)
    source = "factory" if model or weights else ""
    names = {"use": source, "factory": model, "weights": weights, "key": key}
    return {f"model.{name}": value for name, value in names.items()}


def _asked(model: str) -> dict[str, Any]:
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
    from anomech.artefacts.hugging_face import is_adapter, looked_at
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


def _arrays(keys: Sequence[str]) -> dict[str, str]:
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
