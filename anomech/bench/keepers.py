"""Epochs of a training in a file each: whole or not there, and never another training's."""

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from anomech.records import write_bytes
from anomech.roles.trainer import Kept


@dataclass(frozen=True)
class FileKeeper:
    """`anomech.roles.trainer.Keeper` in a folder.

    Attributes:
        folder: of the training's files.
        basis: hash of what its numbers rest on; what was kept on another basis is not read.
        name: of the network that is kept.
    """

    folder: Path
    basis: str
    name: str = "network"

    def read(self) -> Kept | None:
        """See `anomech.roles.trainer.Keeper`; a file that is cut short is as if there were none."""
        if not self._path.is_file():
            return None
        try:
            with safe_open(self._path, framework="pt") as file:
                facts = json.loads((file.metadata() or {}).get("facts", "{}"))
                if facts.get("basis") != self.basis:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, ValueError):
            return None
        return Kept(tensors, facts)

    def write(self, kept: Kept) -> None:
        """See `anomech.roles.trainer.Keeper`."""
        facts = json.dumps({**kept.facts, "basis": self.basis})
        tensors = {name: tensor.contiguous() for name, tensor in kept.tensors.items()}
        write_bytes(self._path, save(tensors, {"facts": facts}))

    def part(self, name: str) -> "FileKeeper":
        """See `anomech.roles.trainer.Keeper`."""
        return FileKeeper(self.folder, self.basis, name)

    @property
    def _path(self) -> Path:
        return self.folder / f"{self.name}.safetensors"
