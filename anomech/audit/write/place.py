"""A folder that results are written to: one process at a time, and nothing through links.

A folder may have been made ready by someone else: links in it are refused, and files are written
under names that nobody can know before.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from anomech.kernel.errors import RunError
from anomech.storage.files import PARTIAL

ERROR = "error.txt"
"""Details of an error that nobody foresaw; the next run in the folder removes them."""


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keep a folder for this process; it is made if it is not there.

    The lock is on the folder itself and goes with the process, however that ends. Where the system
    or the file system has no such locks (Windows, some network drives), nothing is kept.

    Raises:
        RunError: another process works in it, or it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{out} is no folder ({error.strerror}); choose another --out.") from None
    try:
        import fcntl
    except ImportError:
        yield
        return
    descriptor = os.open(out, os.O_RDONLY)
    try:
        with suppress(NotImplementedError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunError(
            f"another process works in {out} at this moment; wait until it ends, or choose another "
            "--out."
        ) from None
    except OSError:
        pass  # this file system has no locks
    try:
        yield
    finally:
        os.close(descriptor)


def refuse_links(out: Path, inside: Sequence[str]) -> None:
    """Refuse a folder with links in it, which no run makes and through which it would write.

    Args:
        out: the folder.
        inside: names of the folders that a run makes in it.

    Raises:
        RunError: there is one.
    """
    for folder in (out, *(out / name for name in inside)):
        if not folder.is_dir():
            continue
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    raise RunError(
                        f"{folder.name}/{entry.name} is a link, which no run makes, so nothing is "
                        "written there; choose another --out."
                    )


def sweep(out: Path) -> None:
    """Remove what a killed process was about to write, and the details of an error before."""
    for path in out.glob(".*.partial"):
        if is_partial(path):
            path.unlink(missing_ok=True)
    if (out / ERROR).is_file():
        (out / ERROR).unlink()


def is_empty(out: Path) -> bool:
    """Whether there is nothing, not even hidden, apart from what a killed process left."""
    return all(is_partial(path) for path in out.iterdir())


def is_partial(path: Path) -> bool:
    """Whether a killed process was about to write this file."""
    return PARTIAL.fullmatch(path.name) is not None and path.is_file() and not path.is_symlink()
