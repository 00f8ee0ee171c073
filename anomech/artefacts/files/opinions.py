"""A second opinion on pickles by picklescan, which knows dangerous names by a list of them.

What it calls dangerous is named here already, because it is not known to be plain. So a file that
it alone objects to would show a fault of this project, and is an issue. It runs in a process of its
own with limits, offline, and reads bytes only.
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any, BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.kinds import Kind
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import shown
from anomech.kernel.errors import ConfigError

ASKED = (Kind.TORCH, Kind.PICKLE, Kind.SCRIPT, Kind.ARRAY, Kind.ARRAYS, Kind.ZIP)
"""Kinds that it is asked about."""

SECONDS = 60
NAMED = 6

_CODE = """
import json, logging, sys
logging.disable(logging.CRITICAL)
from picklescan.scanner import SafetyLevel, scan_bytes
try:
    import resource
    for name, most in (("RLIMIT_AS", 2**32), ("RLIMIT_CPU", 60), ("RLIMIT_FSIZE", 0)):
        resource.setrlimit(getattr(resource, name), (most, most))
except (ImportError, ValueError, OSError):
    pass
with open(0, "rb", closefd=False) as file:
    found = scan_bytes(file, "file", sys.argv[1])
bad = sorted({f"{one.module}.{one.name}" for one in found.globals
              if one.safety is SafetyLevel.Dangerous})
print(json.dumps({"dangerous": bad[:100], "failed": bool(found.scan_err)}))
"""


def check_installed() -> None:
    """Refuse to ask for a second opinion where there is none.

    Raises:
        ConfigError: picklescan is not installed.
    """
    if find_spec("picklescan") is None:
        raise ConfigError(
            "a second opinion takes picklescan; install it with pip install 'anomech[scan]'."
        )


def second_opinion(
    file: BinaryIO, name: str, found: list[Issue]
) -> tuple[tuple[str, ...], list[Issue]]:
    """What picklescan says of a file, as a note, and as an issue where it alone objects.

    Args:
        file: open, at its beginning.
        name: its path.
        found: issues that it has already.
    """
    reply = _asked(file, "." + name.rpartition(".")[2].lower())
    if reply is None or reply["failed"]:
        return ("picklescan could not read it",), []
    bad = [shown(each, 80) for each in reply["dangerous"]]
    if not bad:
        return ("picklescan finds nothing dangerous",), []
    said = f"picklescan calls {', '.join(bad[:NAMED])} dangerous"
    known = any(each.grade == "high" for each in found)
    return (said,), [] if known else [issue("second-opinion", name, f"Here, {said}.")]


def _asked(file: BinaryIO, suffix: str) -> dict[str, Any] | None:
    """Its answer; None if it crashed, took too long or gave none."""
    command = [sys.executable, "-I", "-B", "-c", _CODE, suffix]
    try:
        done = subprocess.run(
            command, stdin=file, capture_output=True, timeout=2 * SECONDS, check=True
        )
        reply = json.loads(done.stdout[-(2**16) :])
    except (subprocess.SubprocessError, OSError, ValueError):
        return None
    return reply if isinstance(reply, dict) and {"dangerous", "failed"} <= set(reply) else None
