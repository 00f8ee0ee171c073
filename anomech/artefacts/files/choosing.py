"""Which file of a folder holds the weights that go into a model."""

from pathlib import Path

from anomech.artefacts.stored import shown
from anomech.kernel.errors import ConfigError

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
"""Endings of weights files, the safest first."""


def weights_file(path: Path) -> Path:
    """The weights file that a path names: itself, or the only one in a folder.

    Raises:
        ConfigError: the folder has none, or several of the first kind that it has.
    """
    if not path.is_dir():
        return path
    for suffix in SUFFIXES:
        found = sorted(each for each in path.iterdir() if each.suffix.lower() == suffix)
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(shown(each.name, 60) for each in found[:4])
            raise ConfigError(
                f"{shown(path.name)} holds several weights files ({names}); name the one that "
                "belongs to the model with --set model.weights=FILE."
            )
    raise ConfigError(
        f"{shown(path.name)} holds no weights file ({', '.join(SUFFIXES)}) for the model; name the "
        "file itself, or leave --model out to look at the files alone."
    )
