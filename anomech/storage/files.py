"""Files that may be anything: opened only if they are plain ones, written without following links.

Errors are `OSError` with a reason in words, which every caller turns into its own sentence.
"""

import errno
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = re.compile(r"\..+\.[0-9a-f]{16}\.partial")
"""Names of files that are being written."""

_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
# A named pipe would wait for its other end; this way it is opened, seen and refused.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def regular_file(path: Path, most: int | None = None, *, follow: bool = True) -> BinaryIO:
    """Open a file for reading if it is a regular one: no folder, pipe, socket or device.

    Args:
        path: the file.
        most: bytes that it may have; None is any number.
        follow: whether the last part of the path may be a symbolic link. Systems without
            `O_NOFOLLOW` (Windows) look before they open.

    Raises:
        OSError: it is missing, is something else or is larger.
    """
    if not follow and not _NO_LINK and path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link", str(path))
    descriptor = os.open(path, _FLAGS | _NO_WAIT | (0 if follow else _NO_LINK))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        if most is not None and found.st_size > most:
            raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, more than {most}", str(path))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Path, most: int, *, follow: bool = True) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: it is missing, is something else or is larger than `most` bytes.
    """
    with regular_file(path, most, follow=follow) as file:
        data = file.read(most + 1)
    if len(data) > most:  # it grew meanwhile, or lies about its size as files of /proc do
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", str(path))
    return data


@contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends well; gone otherwise.

    Its name cannot be known before, and it is never opened through a link. A link at `path` itself
    is replaced, not followed.

    Raises:
        OSError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
    extra = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(temporary, flags | extra, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):  # its folder may be gone or read-only by now
            temporary.unlink(missing_ok=True)
