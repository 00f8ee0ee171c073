"""Hugging Face: a model folder as the transformers library saves it, or an adapter on a base.

Belief: most models that are handed on are such folders.
Source: https://github.com/huggingface/transformers, https://github.com/huggingface/peft
Needs: the extra `llm`; a folder on this machine, whose architecture the library knows.
Fails when: the folder brings code of its own, or its weights in pickles alone.
"""

from pathlib import Path

from torch import nn

from anomech.artefacts.hugging_face import (
    WithTokenizer,
    load_network,
    load_tokenizer,
    with_adapter,
)
from anomech.artefacts.hugging_face_folders import Folder, is_adapter, looked_at, names_of
from anomech.artefacts.hugging_face_images import Logits, processing_of
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.roles.source import Opened


@options
class HuggingFace:
    """A folder of the transformers library."""

    folder: str = option("", "folder of the model, or of a LoRA adapter beside its base")
    adapter: str = option("", "folder of a LoRA adapter that goes on the model")
    base: str = option("", "folder of the model that it was made of, if that is at hand")
    dtype: str = option("auto", "of the numbers as they are loaded, such as bfloat16")
    device_map: str = option(
        "", "how the model is spread over devices, such as auto; needs accelerate"
    )

    @property
    def title(self) -> str:
        """The names of the folders."""
        name = Path(self.folder).resolve().name if self.folder else "model"
        return f"{name} with {Path(self.adapter).resolve().name}" if self.adapter else name

    def check(self) -> None:
        """See `anomech.roles.source.Source.check`."""
        if not self.folder:
            raise ConfigError("the plan names no model; give --model FOLDER.")
        if is_adapter(Path(self.folder)) and (self.adapter or not self.base):
            raise ConfigError(
                f"{Path(self.folder).name} is an adapter and holds no model; give --base FOLDER "
                "with the model that it goes on."
            )

    def open(self) -> Opened:
        """See `anomech.roles.source.Source.open`."""
        adapted = is_adapter(Path(self.folder))
        model, adapter = (self.base, self.folder) if adapted else (self.folder, self.adapter)
        folder = looked_at(model)
        notes = [f"The model is a {folder.architecture}, for the task {folder.kind}."]
        network = self._loaded(folder)
        if adapter:
            network = with_adapter(network, adapter)
        if folder.kind == "image_classifier":
            found = processing_of(folder.path)
            reading = {"resize": found.resize, "crop": found.crop}
            suggested = {"mean": found.mean, "std": found.std, "reading": reading}
            return Opened(Logits(network), self.title, suggested, (*notes, *found.notes))
        tokenizer = load_tokenizer(folder.path)
        base = self._loaded(looked_at(self.base)) if self.base and not adapted else None
        opened = WithTokenizer(network, tokenizer, names_of(folder.config), base)
        return Opened(opened, self.title, {}, tuple(notes))

    def _loaded(self, folder: Folder) -> nn.Module:
        return load_network(folder, dtype=self.dtype, device_map=self.device_map)
