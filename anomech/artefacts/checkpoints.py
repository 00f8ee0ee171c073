"""Weights from files that may be hostile.

Nothing in a file is run: safetensors files hold no code, and pickles are read as data
(`anomech.artefacts.stored`). Checkpoints hold more than one set of weights at times, wrapped in
names of the script that wrote them; which set is taken, and what was left out, is noted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from anomech.artefacts.stored import REMEDY, Unread, existing, load_object, opened, shown
from anomech.kernel.errors import ModelError

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model"),
    *("net", "network", "weights", "params"),
)
"""Keys under which training scripts keep the weights, in the order they are looked for."""

AVERAGED = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "model_ema_state_dict", "ema_model"),
    *("ema", "averaged_model", "swa_model", "params_ema"),
)
"""Keys under which they keep averages of the weights beside them."""

PREFIXES = ("module.", "_orig_mod.", "_forward_module.", "_fsdp_wrapped_module.")
"""What `DataParallel`, `torch.compile` and Lightning put before every name, also inside names."""

MAX_NAME = 1000
"""Characters in the name of a tensor."""


@dataclass(frozen=True)
class Weights:
    """Weights of a file.

    Attributes:
        state: tensors by name, on the CPU, without the prefixes that wrappers of a model add.
        notes: sentences on what was chosen and left out.
    """

    state: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def read_weights(path: str | Path, key: str = "") -> Weights:
    """The weights in a checkpoint, without running anything in it.

    Args:
        path: a safetensors file or a file of `torch.save`, with a state dict in it, bare or under
            one of the keys in `WRAPPERS`.
        key: the key of the weights if the file has several, such as "state_dict_ema"; inside of
            another key "checkpoint/ema", and with a dot at its end the beginning of names, such as
            "teacher.".

    Raises:
        UnsafeCheckpoint: the file asks for functions or classes beyond plain tensors.
        ModelError: the file is missing, damaged, too large for what it is, or has no such weights.
    """
    path = existing(path)
    loaded = _safetensors(path) if _is_safetensors(path) else load_object(path)
    return as_weights(loaded, path, key)


def as_weights(loaded: object, path: Path, key: str = "") -> Weights:
    """The weights in what was loaded from a file, see `read_weights`.

    Raises:
        ModelError: there are none, or they are not plain dense tensors.
    """
    mapping, notes = _chosen(loaded, path, key)
    unread = [name for name, value in mapping.items() if isinstance(value, Unread)]
    if unread and any("tensor" in mapping[name].what for name in unread):
        raise ModelError(
            f"{shown(str(unread[0]))} in {path.name} is not a plain dense tensor "
            f"({mapping[unread[0]].what}); convert the weights to float32 and save them again."
        )
    state = {name: value for name, value in mapping.items() if isinstance(value, Tensor)}
    if not state:
        raise ModelError(f"{path.name} holds no tensors (found: {first_keys(mapping)}); {REMEDY}.")
    if any(not isinstance(name, str) for name in state):
        raise ModelError(f"{path.name} has tensors whose names are not text; {REMEDY}.")
    if longest := max((name for name in state if len(name) > MAX_NAME), key=len, default=""):
        raise ModelError(
            f"{path.name} has a tensor whose name has {len(longest)} characters "
            f"({shown(longest, 40)}); {REMEDY}."
        )
    if key.endswith("."):
        begin = key.rpartition("/")[2]
        state = {n.removeprefix(begin): t for n, t in state.items() if n.startswith(begin)}
        if not state:
            raise ModelError(f"No tensor of {path.name} begins with '{shown(begin)}'.")
    state, more = _unwrapped(state)
    return Weights(state, (*notes, *more))


def first_keys(mapping: Mapping[Any, Any]) -> str:
    """Some keys of a stranger's mapping, for a message; only text is shown, nothing else asked."""
    keys = [shown(each, 40) if isinstance(each, str) else repr(each) for each in [*mapping][:5]]
    return ", ".join(keys) or "nothing"


def _chosen(loaded: object, path: Path, key: str) -> tuple[Mapping[Any, Any], list[str]]:
    """The mapping that holds the weights, and what to know about the choice."""
    if not isinstance(loaded, Mapping):
        raise ModelError(
            f"{path.name} holds a {type(loaded).__name__}, not a state dict; {REMEDY}."
        )
    whole = key.rpartition("/")[0] if key.endswith(".") else key
    if whole:
        return _at(loaded, whole, path), []
    notes: list[str] = []
    mapping: Mapping[Any, Any] = loaded
    for _ in range(3):
        weights = [each for each in WRAPPERS if _holds_tensors(mapping.get(each))]
        averages = [each for each in AVERAGED if _holds_tensors(mapping.get(each))]
        if not weights + averages:
            break
        used, *others = weights + averages
        notes += [_choice(path, used, others)] if others or not weights else []
        mapping = mapping[used]
    return mapping, notes


def _choice(path: Path, used: str, others: list[str]) -> str:
    if not others:
        return f"{path.name} holds averaged weights alone, under '{used}'; they are judged."
    listed = " and ".join(f"'{each}'" for each in others)
    return (
        f"{path.name} also holds weights under {listed}; those under '{used}' are judged. "
        f"--weights-key {others[0]} chooses the other."
    )


def _at(loaded: Mapping[Any, Any], key: str, path: Path) -> Mapping[Any, Any]:
    found: object = loaded
    for piece in [key] if key in loaded else key.split("/"):
        found = found.get(piece) if isinstance(found, Mapping) else None
    if isinstance(found, Mapping):
        return found
    known = [shown(each, 40) for each, value in loaded.items() if _holds_tensors(value)]
    raise ModelError(
        f"{path.name} has no weights under '{shown(key)}'; "
        + (f"there are some under {', '.join(known[:5])}." if known else "leave the key out.")
    )


def _holds_tensors(value: object, depth: int = 2) -> bool:
    """Whether a mapping holds tensors, directly or under a key of its own."""
    if not isinstance(value, Mapping):
        return False
    if any(isinstance(each, Tensor | Unread) for each in value.values()):
        return True
    return depth > 0 and any(_holds_tensors(value.get(key), depth - 1) for key in WRAPPERS)


def _unwrapped(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Without what wrappers put before names, and without their counters."""
    notes = []
    counted = {name: tensor for name, tensor in state.items() if name != "n_averaged"}
    if counted and len(counted) < len(state) and all(n.startswith("module.") for n in counted):
        notes.append("The weights are an average over training (they came with a counter of it).")
        state = counted
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name[len(prefix) :]: tensor for name, tensor in state.items()}
    inner = {_without_inner(name): tensor for name, tensor in state.items()}
    return (inner if len(inner) == len(state) else state), notes


def _without_inner(name: str) -> str:
    for prefix in PREFIXES[1:]:  # "module" is a name that people give
        name = name.replace("." + prefix, ".")
    return name


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device="cpu")
    except (SafetensorError, OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelError(
            f"{shown(path.name)} cannot be read as a checkpoint ({type(error).__name__}); get it "
            f"again, or {REMEDY}."
        ) from None


def _is_safetensors(path: Path) -> bool:
    with opened(path) as file:
        head = file.read(9)
    return path.suffix.lower() == ".safetensors" or (
        head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    )
