"""Has a stranger's file read by a process of its own, which has limits and gives plain values back.

A file may be made to fill the memory of whoever reads it, to keep it busy for ever or to crash it.
All of that happens to a small process that imports neither torch nor numpy, and it is answered with
one sentence. The process has limits of memory, time and files where the system knows them (Linux;
macOS without that of memory; Windows the time alone), beside those of the machine in it.
"""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO

from anomech.kernel.errors import ModelError

MEMORY = 2**31
"""Bytes that the process may take; the largest checkpoints need a tenth."""
SECONDS = 60
"""Seconds of computing that it may take; twice as long by the clock, for busy machines."""
MOST = 2**27
"""Bytes of its answer (128 MiB)."""

_PACKAGE = Path(__file__).parents[1]

# The package itself is not imported: that takes longer than reading the file.
_START = """
import sys, types
for name, place in (("anomech", sys.argv[1]), ("anomech.artefacts", sys.argv[1] + "/artefacts")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [place]
from anomech.artefacts.inert.child import main
main(*map(int, sys.argv[2:]))
"""


def ask(file: BinaryIO, name: str) -> dict[str, Any]:
    """What a process of its own says about an open file, see `anomech.artefacts.inert.child`.

    Args:
        file: a regular file, at its beginning.
        name: what messages call it.

    Raises:
        ModelError: the process took too long, crashed, or could not be started.
    """
    sizes = [str(number) for number in (MEMORY, SECONDS, MOST)]
    command = [sys.executable, "-I", "-S", "-B", "-c", _START, str(_PACKAGE), *sizes]
    try:
        process = subprocess.Popen(
            command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError as error:
        raise ModelError(
            f"{name} could not be looked through, because no process could be started "
            f"({error.strerror}); free some memory and run the command again."
        ) from None
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    alarm = threading.Timer(2 * SECONDS, stop)
    alarm.start()
    try:
        with process:
            answer = process.stdout.read(MOST + 1) if process.stdout else b""
            if len(answer) > MOST:
                process.kill()
    finally:
        alarm.cancel()
    return _parsed(answer, process.returncode, late.is_set(), name)


def _parsed(answer: bytes, code: int, late: bool, name: str) -> dict[str, Any]:
    if late or code == -24:  # SIGXCPU
        raise ModelError(
            f"{name} takes more than {SECONDS} seconds to look through, which no checkpoint does; "
            "do not trust this file."
        )
    try:
        reply = json.loads(answer)
    except (ValueError, RecursionError):
        reply = None
    if code != 0 or not isinstance(reply, dict):
        raise ModelError(
            f"{name} made the process that reads it stop with code {code}; nothing in it was "
            "executed; do not trust this file."
        )
    return reply
