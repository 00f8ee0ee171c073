"""The largest resident memory of this process while something runs, where the system tells."""

import re
from contextlib import suppress
from pathlib import Path

PROCESS = Path("/proc/self")


def reset_peak() -> bool:
    """Start counting anew; whether the system can (Linux)."""
    with suppress(OSError):
        (PROCESS / "clear_refs").write_text("5")
        return True
    return False


def peak_mib() -> float | None:
    """The largest resident memory since the last reset, in MiB."""
    with suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", (PROCESS / "status").read_text())
        return int(found[1]) / 1024 if found else None
    return None
