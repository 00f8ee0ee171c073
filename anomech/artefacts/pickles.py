"""What a pickle asks for, found by reading its instructions and never by running them."""

import io
import pickletools
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Collection
from pathlib import Path

import torch

SCAN_BYTES = 2**26
"""How much of a pickle is read (64 MiB); that of a checkpoint is small, its tensors lie apart."""

STREAMS = 8
"""Pickles read from one file; the oldest `torch.save` format writes five, one after the other."""

HARMLESS = frozenset(
    {
        *("collections.OrderedDict", "collections.Counter", "_codecs.encode"),
        *("builtins.bytearray", "builtins.set", "builtins.complex"),
        *("torch.Size", "torch.Tensor", "torch.device", "torch.nn.parameter.Parameter"),
        *("torch.storage.UntypedStorage", "torch.storage.TypedStorage"),
        *("torch._tensor._rebuild_from_type_v2", "torch.serialization._get_layout"),
    }
)
"""Names that plain tensors and containers need; they do not explain why a file was refused."""


def unsafe_names(path: Path, allowed: Collection[str] = ()) -> tuple[str, ...]:
    """Names of functions and classes that a checkpoint asks for beyond plain tensors, sorted.

    Args:
        path: a file of `torch.save` in its zip or its older format, or any pickle.
        allowed: further names that are no reason for concern.

    Returns:
        Names such as `posix.system`, with unprintable characters replaced; empty if nothing could
        be found.
    """
    found: set[str] = set()
    for stream in _streams(path):
        for _ in range(STREAMS):
            try:
                _read_names(stream, found)
            except Exception:  # a damaged pickle ends here; what came before still counts
                break
    return tuple(sorted(_plain(name) for name in found if not _harmless(name, allowed)))


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip does, which is how torch tells its two formats apart."""
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _streams(path: Path) -> list[io.BytesIO]:
    """The pickles of a file, at most `SCAN_BYTES` of each."""
    if not is_zip(path):
        with open(path, "rb") as file:
            return [io.BytesIO(file.read(SCAN_BYTES))]
    streams = []
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            for name in names[:STREAMS]:
                with archive.open(name) as member:
                    streams.append(io.BytesIO(member.read(SCAN_BYTES)))
    except Exception:  # a damaged zip ends here; what came before still counts
        pass
    return streams


def _read_names(stream: io.BytesIO, found: set[str]) -> None:
    """Add the names of one pickle to `found`.

    Newer protocols take a name from two strings on the stack. Only strings and the memo are
    followed, which is enough for what picklers write; a name that was put together otherwise is
    reported as unknown.
    """
    top: tuple[str | None, str | None] = (None, None)
    memo: dict[int, str | None] = {}
    last: str | None = None
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name in ("GLOBAL", "INST"):
            found.add(_modern(*str(argument).split(" ", 1)))
        elif opcode.name == "STACK_GLOBAL":
            found.add(_modern(top[0] or "(unknown)", top[1] or "(unknown)"))
        elif opcode.name.startswith("EXT"):
            found.add(f"copyreg.extension {argument}")
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(str(argument))] = last
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = last
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            last = memo.get(int(str(argument)))
            top = (top[1], last)
        else:
            is_text = isinstance(argument, str) and opcode.name not in ("GLOBAL", "INST")
            last = argument if is_text else None
            if is_text:
                top = (top[1], last)


def _modern(module: str, name: str) -> str:
    """The name in today's Python of what an older pickle calls, say, `__builtin__.eval`."""
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}"


def _harmless(name: str, allowed: Collection[str]) -> bool:
    if name in HARMLESS or name in allowed:
        return True
    module, _, attribute = name.rpartition(".")
    if module == "torch._utils":
        return attribute.startswith("_rebuild_")
    if module == "torch":
        return attribute.endswith("Storage") or isinstance(
            vars(torch).get(attribute), (torch.dtype, torch.qscheme)
        )
    return False


def _plain(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)[:100]
