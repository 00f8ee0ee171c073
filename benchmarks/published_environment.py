"""An environment of its own for devinterp 1.3.2, the library the published method runs on.

Later versions are a different library, and its requirements should not decide ours, so it lives in
a virtual environment that the first use makes: a CPU build of the torch version in use here, then
devinterp with torch held fixed. Arrays go to `published_chain.py` and come back as npz files.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

VERSION = "1.3.2"
FOLDER = Path(__file__).parents[1] / "build/devinterp-venv"
SCRIPT = Path(__file__).with_name("published_chain.py")

PUBLISHED = {
    "draws": 2000,
    "batch": 256,
    "step_size": 1e-6,
    "localization": 1e4,
    "nbeta": 100.0,
    "mean": [0.0],
    "std": [1.0],
    "seed": 0,
    "threads": 1,
    "record": False,
}
"""The published settings; alpha 0.99 and eta 0.1 are defaults of the library itself."""

DROPPED = 250
"""Of 2,000 draws the published analysis drops the first 250."""


def dropped(draws: int) -> int:
    """How many of the first draws to drop; half of them where a reduced chain has fewer than 500.

    The chain starts at the trained point with the model's own running statistics and takes some
    fifty steps to forget that; two short chains would agree on it more than on anything else.
    """
    return min(DROPPED, draws // 2)


def interpreter(folder: Path = FOLDER) -> Path:
    """The Python of the environment, which is made if it is not there; needs the network then."""
    python = folder / "bin/python"
    done = folder / f"devinterp-{VERSION}"
    if not done.exists():
        # The local part of a version such as +cpu names a build that an index may not hold.
        pinned = f"torch=={torch.__version__.partition('+')[0]}"
        constraints = folder / "constraints.txt"
        _run(sys.executable, "-m", "venv", str(folder))
        constraints.write_text(pinned + "\n", encoding="utf-8")
        pip = (str(python), "-m", "pip", "install", "--quiet", "-c", str(constraints))
        _run(*pip, pinned)
        _run(*pip, f"devinterp=={VERSION}")
        done.touch()
    return python


def run_chain(
    settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray], folder: Path = FOLDER
) -> dict[str, np.ndarray]:
    """What `published_chain.py` answers to these settings (over the published ones) and arrays."""
    with tempfile.TemporaryDirectory() as place:
        request, answer = Path(place, "request.npz"), Path(place, "answer.npz")
        np.savez(request, settings=json.dumps(PUBLISHED | dict(settings)), **arrays)
        _run(str(interpreter(folder)), str(SCRIPT), str(request), str(answer))
        with np.load(answer) as found:
            return dict(found)


def weights(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """A model's state as the arrays of a request."""
    return {f"weight/{name}": value.numpy() for name, value in model.state_dict().items()}


def _run(*command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
