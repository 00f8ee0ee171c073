"""A small world for the command line: a classifier of digits, its files, inputs with a patch."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

from anomech.architectures.digits import DigitsNet
from anomech.attacks.badnets import Badnets
from anomech.cli.app import app
from anomech.data.digits import load_digits
from anomech.kernel.randomness import numpy_generator
from anomech.learning.training import Recipe, train

FACTORY = """\
from anomech.architectures.digits import DigitsNet


def make_model():
    return DigitsNet()
"""

CHEAP = ("--set", "detectors.functional_attribution.twins.rungs=0")
"""Twins take most of an audit's time, and few tests are about what they see."""


@dataclass(frozen=True)
class Files:
    """Paths of everything an audit needs, and the arrays behind them."""

    factory: Path
    weights: Path
    reference: Path
    inputs: Path
    images: np.ndarray
    labels: np.ndarray
    trusted: np.ndarray

    def options(self, **changed: object) -> list[str]:
        """As `plain`, without twins of the default detector."""
        command, *words = self.plain(**changed)
        return [command, *CHEAP, *words]

    def plain(self, **changed: object) -> list[str]:
        """The command line of an audit; None leaves an option out."""
        given: dict[str, object] = {
            "model": f"{self.factory}:make_model",
            "weights": self.weights,
            "reference": self.reference,
            "inputs": self.inputs,
            "budget": 0.05,
            "fail-on": "never",
            **changed,
        }
        pairs = [(f"--{name}", str(value)) for name, value in given.items() if value is not None]
        return ["audit", *(word for pair in pairs for word in pair), "--set", "chunk=16"]


@dataclass(frozen=True)
class Answered:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence that a refused command says, after the lines about its stages."""
        lines = self.err.splitlines()
        assert lines, "nothing was said"
        assert lines[-1].startswith("error: "), self.err
        assert not any(line.startswith(("error:", "Traceback")) for line in lines[:-1]), self.err
        return lines[-1].removeprefix("error: ")


@pytest.fixture
def run():
    """Runs a command in this process; exceptions that are no exit fail the test."""

    def call(*words: object) -> Answered:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answered(result.exit_code, result.stdout, result.stderr)

    return call


@pytest.fixture
def process():
    """Runs a command in a process of its own."""

    def call(*words: object, folder: Path, **environment: str) -> Answered:
        # Coverage or color settings of the outer process do not matter here.
        known = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        done = subprocess.run(
            [sys.executable, "-m", "anomech", *(str(word) for word in words)],
            cwd=folder,
            env=known,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return Answered(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    """A network with a planted patch, 160 trusted digits, 40 clean inputs and 24 stamped ones."""
    folder = tmp_path_factory.mktemp("files")
    images, labels = load_digits()
    order = numpy_generator(0, "cli").permutation(len(labels))
    images, labels = images[order], labels[order]
    attack = Badnets(ratio=0.1, size=2)
    poisoned = attack.poison(images[:1000], labels[:1000], seed=0)
    recipe = Recipe(epochs=12, batch=50, peak=0.1, augment="none")
    network = train(DigitsNet(), poisoned.inputs, poisoned.labels, recipe, seed=0)
    state = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(state, folder / "weights.safetensors")
    (folder / "factory.py").write_text(FACTORY)
    trusted = np.arange(1000, 1160)
    for index in trusted:
        place = folder / "trusted" / f"digit-{labels[index]}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[index, ..., 0]).save(place / f"{index}.png")
    clean = images[1200:1240]
    stamped = attack.stamp(images[1240:1280][labels[1240:1280] != 0][:24])
    np.savez(folder / "inputs.npz", images=np.concatenate([clean, stamped]))
    return Files(
        factory=folder / "factory.py",
        weights=folder / "weights.safetensors",
        reference=folder / "trusted",
        inputs=folder / "inputs.npz",
        images=images,
        labels=labels,
        trusted=trusted,
    )


@pytest.fixture(scope="session")
def finished(files, tmp_path_factory) -> Path:
    """A finished run that tests may read but not change."""
    out = tmp_path_factory.mktemp("finished") / "run"
    result = CliRunner().invoke(app, [*files.options(), "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def one_sentence():
    """Checks that a message is one sentence with something to do."""

    def check(message: str, *parts: str) -> None:
        assert "Traceback" not in message
        assert re.search(r"[\w'`)][.?]$", message), f"no sentence: {message!r}"
        for part in parts:
            assert part in message, f"{part!r} is not in {message!r}"

    return check
