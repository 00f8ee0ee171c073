"""Weights from files that may be hostile.

Nothing in a file is run: safetensors files hold no code, and pickles go through torch's
weights-only loader, which builds tensors and containers and refuses everything else. What a file
can make us allocate is bounded by its own size: a zip must be stored uncompressed with members
that together fit the file, and tensors may not claim more than `MAX_EXPANSION` times its size.
"""

import pickle
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from anomech.artefacts.pickles import is_zip, unsafe_names
from anomech.kernel.errors import ModelError, UnsafeCheckpoint

MAX_EXPANSION = 4
"""Bytes that all tensors of a file may take, in units of its size. More than one because tied
weights are stored once; without a limit a few bytes could describe a tensor of any size."""

WRAPPERS = (
    *("state_dict", "model_state_dict", "model_state", "model"),
    *("net", "network", "weights", "params"),
)
"""Keys under which training scripts keep the weights, in the order they are looked for."""

PREFIXES = ("module.", "_orig_mod.")
"""What `DataParallel` and `torch.compile` put before every name."""

REMEDY = "ask for a safetensors file, or a plain state dict: torch.save(model.state_dict(), path)"


def load_state(path: str | Path) -> dict[str, Tensor]:
    """The weights in a checkpoint, on the CPU, without running anything in it.

    Args:
        path: a safetensors file or a file of `torch.save`, with a state dict in it, bare or under
            one of the keys in `WRAPPERS`.

    Returns:
        Tensors by name, without the prefixes that wrappers of a model add.

    Raises:
        UnsafeCheckpoint: the file asks for functions or classes beyond plain tensors.
        ModelError: the file is missing, damaged, too large for what it is, or has no weights.
    """
    path = existing(path)
    if _is_safetensors(path):
        try:
            loaded: object = load_file(path, device="cpu")
        except Exception as error:  # the reader answers damaged files with several types
            raise _damaged(path, error) from None
    else:
        loaded = load_object(path)
    return as_state(loaded, path)


def existing(path: str | Path) -> Path:
    """The path of a file that is there and not empty.

    Raises:
        ModelError: there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise ModelError(f"The checkpoint {path} {what}; name a .safetensors, .pt or .pth file.")
    if path.stat().st_size == 0:
        raise ModelError(f"The checkpoint {path.name} is empty; get it again.")
    return path


def load_object(path: Path, allowed: Sequence[tuple[Callable[..., Any], str]] = ()) -> object:
    """What `torch.save` put into a file, built by the weights-only loader.

    Args:
        path: an existing file.
        allowed: functions or classes to build with, each with the name that the file calls it by.

    Raises:
        UnsafeCheckpoint: the file asks for other functions or classes.
        ModelError: the file is damaged or of an unknown kind.
    """
    stored = is_zip(path)
    if stored:
        _check_zip(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            warnings.simplefilter("ignore")  # about the pickle's age, which is not our user's
            # Mapped files are not copied, and a storage cannot claim more than the file has.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=stored)
    except Exception as error:  # the loader answers damaged files with any exception
        names = unsafe_names(path, {name for _, name in allowed})
        if names:
            raise _unsafe(path, names) from None
        raise _damaged(path, error) from None


def as_state(loaded: object, path: Path) -> dict[str, Tensor]:
    """The tensors of a loaded object by name, wrappers and prefixes removed.

    Raises:
        ModelError: there are none, or they are not plain dense tensors that the file can hold.
    """
    mapping = _unwrapped(loaded)
    if mapping is None:
        raise ModelError(
            f"{path.name} holds a {type(loaded).__name__}, not a state dict; {REMEDY}."
        )
    state = {name: value for name, value in mapping.items() if isinstance(value, Tensor)}
    if not state:
        raise ModelError(f"{path.name} holds no tensors (found: {first_keys(mapping)}); {REMEDY}.")
    if any(not isinstance(name, str) for name in state):
        raise ModelError(f"{path.name} has tensors whose names are not text; {REMEDY}.")
    _check_tensors(state, path)
    state = {name: tensor.detach() for name, tensor in state.items()}
    while prefix := next((p for p in PREFIXES if all(n.startswith(p) for n in state)), None):
        state = {name[len(prefix) :]: tensor for name, tensor in state.items()}
    return state


def first_keys(mapping: Mapping[Any, Any]) -> str:
    """Some keys of a stranger's mapping, for a message; only text is shown, nothing else asked."""
    keys = [key[:40] if isinstance(key, str) else type(key).__name__ for key in [*mapping][:5]]
    return ", ".join(keys) or "nothing"


def apply_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy weights into a model that was built for them.

    Counters of seen batches (`num_batches_tracked`) may be missing, as in old checkpoints.

    Raises:
        ModelError: names or shapes do not match the model's, or a weight is not finite.
    """
    own = model.state_dict()
    if any(is_lazy(tensor) for tensor in own.values()):
        raise ModelError(
            "The model has lazy layers whose shapes are not known yet; run it once on an example "
            "before it is returned."
        )
    missing = [
        name for name in own if name not in state and not name.endswith("num_batches_tracked")
    ]
    _refuse(missing, "tensors of the model are missing in the checkpoint")
    unexpected = [name for name in state if name not in own]
    _refuse(unexpected, "tensors of the checkpoint are not in the model")
    misshaped = [
        f"{name} is {list(tensor.shape)}, the model's {list(own[name].shape)}"
        for name, tensor in state.items()
        if tensor.shape != own[name].shape
    ]
    _refuse(misshaped, "tensors of the checkpoint have other shapes")
    mistyped = [
        f"{name} is {tensor.dtype}, the model's {own[name].dtype}"
        for name, tensor in state.items()
        if tensor.is_floating_point() != own[name].is_floating_point() or tensor.is_complex()
    ]
    _refuse(mistyped, "tensors of the checkpoint have other types")
    spoiled = [
        name
        for name, tensor in state.items()
        if tensor.is_floating_point() and not torch.isfinite(tensor.float()).all()
    ]
    _refuse(spoiled, "tensors of the checkpoint hold NaN or infinite weights", "get it again")
    model.load_state_dict(dict(state), strict=False)


def _refuse(
    names: Sequence[str], what: str, remedy: str = "build the model that the checkpoint is for"
) -> None:
    if names:
        shown = ", ".join(str(name)[:120] for name in names[:3])
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise ModelError(f"{len(names)} {what} ({shown}{more}); {remedy}.")


def _is_safetensors(path: Path) -> bool:
    with open(path, "rb") as file:
        head = file.read(9)
    return path.suffix.lower() == ".safetensors" or (
        head[8:] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size
    )


def _check_zip(path: Path) -> None:
    """Refuse a zip that could unpack to more than it is; `torch.save` never compresses."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(path, error) from None
    packed = [info.filename for info in members if info.compress_type != zipfile.ZIP_STORED]
    total = sum(info.file_size for info in members)
    if packed or total > path.stat().st_size:
        raise ModelError(
            f"{path.name} is a compressed zip that claims {total} bytes in a file of "
            f"{path.stat().st_size}, which torch.save does not write; {REMEDY}."
        )


def _unwrapped(loaded: object) -> Mapping[Any, Any] | None:
    for _ in range(3):
        if not isinstance(loaded, Mapping):
            return None
        inner = [loaded[key] for key in WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not inner:
            break
        loaded = inner[0]
    return loaded if isinstance(loaded, Mapping) else None


def _check_tensors(state: Mapping[str, Tensor], path: Path) -> None:
    total = 0
    for name, tensor in state.items():
        plain = type(tensor) in (Tensor, nn.Parameter) and tensor.layout == torch.strided
        if not plain or tensor.is_quantized or tensor.is_nested or tensor.device.type != "cpu":
            raise ModelError(
                f"{name} in {path.name} is not a plain dense tensor; convert the weights to "
                "float32 and save them again."
            )
        total += tensor.numel() * tensor.element_size()
    if total > MAX_EXPANSION * path.stat().st_size:
        raise ModelError(
            f"The tensors of {path.name} claim {total} bytes, the file has "
            f"{path.stat().st_size}; {REMEDY}."
        )


def _unsafe(path: Path, names: tuple[str, ...]) -> UnsafeCheckpoint:
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return UnsafeCheckpoint(
        f"{path.name} asks for code beyond plain tensors when it is loaded ({shown}); it was "
        f"refused and nothing in it was executed; {REMEDY}.",
        names,
    )


def _damaged(path: Path, error: Exception) -> ModelError:
    if isinstance(error, RuntimeError) and "TorchScript" in str(error):
        return ModelError(f"{path.name} is a TorchScript program, which is not run; {REMEDY}.")
    if isinstance(error, pickle.UnpicklingError):
        return ModelError(
            f"{path.name} has instructions that safe loading does not know, or is no checkpoint; "
            f"nothing in it was executed; {REMEDY}."
        )
    return ModelError(
        f"{path.name} cannot be read as a checkpoint ({type(error).__name__}); get it again, or "
        f"{REMEDY}."
    )
