"""What engines with workers share: values as bytes, outcomes that travel, and one thread.

Nothing here is for bytes from elsewhere: `unpack` runs what `pack` of the same run wrote.
"""

import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import cloudpickle
import torch
from threadpoolctl import threadpool_limits

from anomech.kernel.errors import ConfigError, RunError, said

Job = tuple[Callable[[Any, Any], Any], Any]
"""A function and what all its pieces share."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def pack(value: Any, what: str) -> bytes:
    """`value` as bytes, with its tensors.

    `torch.save` rather than pickle: tensors go by value, never as a file descriptor of which there
    are too few, and memory that several tensors share (a model and its twin) goes once. Code goes
    by name, that of the main module with it.

    Args:
        value: anything that can be pickled.
        what: what it is, for the message.

    Raises:
        ConfigError: it cannot be pickled.
    """
    stream = io.BytesIO()
    try:
        torch.save(value, stream, pickle_module=cloudpickle, pickle_protocol=5)
    except Exception as error:  # whatever a class raises when it is pickled, the remedy is the same
        raise ConfigError(
            f"{what} cannot be sent to a worker ({_first_line(error)}); leave out open files, "
            "locks and the like, or use the serial engine."
        ) from error
    return stream.getvalue()


def pack_job(function: Callable[[Any, Any], Any], shared: Any) -> bytes:
    """A `Job` as bytes; with the code of modules that a worker would not find by their names.

    Such is the user's file that builds a network: it is run from its path and never installed.
    """
    with _with_code(_lost_modules()):
        return pack((function, shared), "the work")


def unpack(data: bytes) -> Any:
    """What `pack` was given."""
    return torch.load(io.BytesIO(data), weights_only=False)


def attempt(job: Callable[[], Job], piece: bytes) -> bytes:
    """Do one packed piece in a worker; what comes of it, packed, is for `opened`."""
    try:
        function, shared = _unpacked(job)
        return pack((function(shared, unpack(piece)), None), "a result")
    except BaseException as error:  # also SystemExit: a worker that ends says nothing
        return _packed_error(error)


def opened(outcome: bytes) -> Any:
    """The value of a piece.

    Raises:
        Exception: what the function raised in the worker.
    """
    value, error = unpack(outcome)
    if error is not None:
        raise error
    return value


def one_thread() -> None:
    """Hold this process to one thread, in numeric libraries that are loaded and those to come."""
    os.environ.update(dict.fromkeys(THREADS, "1"))
    torch.set_num_threads(1)
    threadpool_limits(1)


def usable_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _unpacked(job: Callable[[], Job]) -> Job:
    try:
        return job()
    except ImportError as error:
        raise ConfigError(
            f"a worker cannot import what the work needs ({error}); install it where the worker "
            "runs, in the same version."
        ) from error


def _lost_modules() -> list[str]:
    """Modules here whose names lead nowhere in a fresh interpreter."""
    return [
        name
        for name, module in list(sys.modules.items())
        if module is not None
        and "." not in name
        and name not in ("__main__", "__mp_main__")
        and not any(finder.find_spec(name, None) for finder in sys.meta_path)
    ]


@contextmanager
def _with_code(names: list[str]) -> Iterator[None]:
    """Let cloudpickle take the code of these modules along, and undo that."""
    known = cloudpickle.list_registry_pickle_by_value()
    fresh = [sys.modules[name] for name in names if name not in known]
    for module in fresh:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in fresh:
            cloudpickle.unregister_pickle_by_value(module)


def _packed_error(error: BaseException) -> bytes:
    error.add_note(f"In a worker:\n{traceback.format_exc()}")
    try:
        if not isinstance(error, Exception):
            raise TypeError("it would end the program that opens it")
        packed = pack((None, error), "an error")
        unpack(packed)  # some exceptions can be pickled but not read again
    except Exception:
        told = RunError(f"work failed in a worker with {type(error).__name__}: {said(error)}.")
        return pack((None, told), "an error")
    return packed


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
