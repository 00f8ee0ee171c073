"""A model behind a program: a line of JSON in, a line of JSON out (docs/black-box.md).

The program is the user's own and runs with the user's rights; what it answers is a stranger's. It
is started at the first question, keeps running for all of them, and ends with this process. No
shell reads the command.
"""

import os
import selectors
import shlex
import signal
import subprocess
import tempfile
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from anomech.artefacts.asking.wire import LONGEST, reply, request
from anomech.kernel.errors import ModelError, shortened
from anomech.roles.black_box import Said

PIECE = 2**16
"""Bytes that are written or read at once."""

HEARD = 400
"""Bytes of the end of what a program said on stderr that a message may quote."""


@dataclass
class Program:
    """A program that is asked; one that is sent to another process is started anew there.

    Attributes:
        command: words as a shell would part them.
        seconds: that one question may take.
    """

    command: str
    seconds: float
    _running: "_Running | None" = field(default=None, init=False, repr=False)

    @property
    def asked(self) -> str:
        """The command."""
        return self.command

    def ask(self, images: np.ndarray) -> Said:
        """See `anomech.roles.black_box.Answering.ask`."""
        if self._running is None:
            self._running = _Running(self.command)
        try:
            line, more = self._running.exchange(request(images), self.seconds)
            said = reply(line, len(images), "the program")
            if more:
                raise ModelError(
                    "the program answered more than one line, or before it was asked; let it print "
                    "one line a question and everything else on stderr."
                )
            return said
        except BaseException:  # also Ctrl-C: a half-read answer would be taken for the next one
            self.close()
            raise

    def close(self) -> None:
        """End the program; the next question starts it again."""
        if self._running is not None:
            self._running.end()
            self._running = None

    def __getstate__(self) -> dict[str, Any]:
        return {"command": self.command, "seconds": self.seconds, "_running": None}


class _Running:
    """A process with its pipes."""

    def __init__(self, command: str) -> None:
        self.heard: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            self.process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self.heard,
                start_new_session=True,
                bufsize=0,
            )
        except (OSError, ValueError, IndexError) as error:
            self.heard.close()
            raise ModelError(
                f"the program {shortened(command)} cannot be started "
                f"({getattr(error, 'strerror', None) or error}); check the command."
            ) from None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.into, self.out = self.process.stdin, self.process.stdout
        os.set_blocking(self.into.fileno(), False)
        os.set_blocking(self.out.fileno(), False)
        self.end = weakref.finalize(self, _end, self.process, self.heard)

    def exchange(self, question: bytes, seconds: float) -> tuple[bytes, bool]:
        """The line that answers a line, and whether there is more than that, or it came too early.

        Raises:
            ModelError: there is none in time, it is too long, or the program has ended.
        """
        left, answer, until = memoryview(question), bytearray(), time.monotonic() + seconds
        with selectors.DefaultSelector() as ready:
            ready.register(self.into, selectors.EVENT_WRITE)
            ready.register(self.out, selectors.EVENT_READ)
            while not answer.endswith(b"\n"):
                events = ready.select(max(0.0, until - time.monotonic()))
                if not events:
                    raise ModelError(
                        f"the program did not answer within {seconds:g} seconds; raise "
                        "--set model.timeout, or ask fewer images at once (--set task.batch)."
                    )
                for key, _ in events:
                    if key.fileobj is self.out:
                        self._read(answer)
                    else:
                        left = self._written(left)
                        if not left:
                            ready.unregister(self.into)
        line, _, rest = bytes(answer).partition(b"\n")
        return line, bool(rest or left)

    def _read(self, answer: bytearray) -> None:
        piece = self.out.read(PIECE)
        if piece == b"":
            raise ModelError(f"the program ended without an answer{self._last_words()}.")
        answer += piece or b""
        if len(answer) > LONGEST:
            raise ModelError("the program answered more than 64 MiB; ask fewer images at once.")

    def _written(self, left: memoryview) -> memoryview:
        try:
            return left[os.write(self.into.fileno(), left[:PIECE]) :]
        except BlockingIOError:
            return left
        except OSError:
            raise ModelError(
                f"the program ended before it was asked{self._last_words()}."
            ) from None

    def _last_words(self) -> str:
        """Its exit code and the last line that it said on stderr."""
        try:
            code = f" (exit code {self.process.wait(1.0)})"
        except subprocess.TimeoutExpired:
            code = ""
        size = self.heard.seek(0, os.SEEK_END)
        self.heard.seek(max(0, size - HEARD))
        lines = self.heard.read().decode(errors="replace").split("\n")
        words = next((line for line in reversed(lines) if line.strip()), "")
        return f"{code}; it said: {' '.join(words.split())}" if words else code


def _end(process: "subprocess.Popen[bytes]", heard: IO[bytes]) -> None:
    """End a program and what it has started."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    heard.close()
