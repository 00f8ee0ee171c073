"""What a bench ran with and on; no host names."""

import platform
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch


def versions() -> dict[str, str]:
    """Of this package and of the libraries that numbers depend on."""
    libraries = {name: version(name) for name in ("anomech", "numpy", "scipy", "scikit-learn")}
    return {**libraries, "torch": torch.__version__, "python": platform.python_version()}


def hardware(device: str) -> str:
    """Processor and, if the suite runs there, graphics card; no host names."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        model = found[1] if found else model
    words = f"{model}, {torch.get_num_threads()} threads"
    if device.startswith("cuda") and torch.cuda.is_available():
        words += f", {torch.cuda.get_device_name(device)}"
    return words
