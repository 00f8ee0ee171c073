"""Model folders of the Hugging Face libraries, looked at before anything of them is loaded.

A folder is a stranger's: code that it brings (`auto_map`) is refused and never asked for, weights
are read from safetensors files alone, and a configuration that promises more than the files hold is
refused before anything is allocated.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from anomech.kernel.errors import ModelError, UnsafeCheckpoint, shortened

Kind = Literal["causal_lm", "text_classifier", "image_classifier"]

KINDS: Mapping[str, Kind] = {
    r"(ForCausalLM|LMHeadModel)$": "causal_lm",
    r"ForSequenceClassification$": "text_classifier",
    r"ForImageClassification$": "image_classifier",
}
"""Which task an architecture is for, by the end of its name."""

CONFIG, ADAPTER = "config.json", "adapter_config.json"
WITH_CODE = (CONFIG, ADAPTER, "tokenizer_config.json", "preprocessor_config.json")
"""Files that may name code of the folder's own."""

LARGEST_JSON = 2**26
MOST_LAYERS = 2048


@dataclass(frozen=True)
class Folder:
    """A model folder that was looked at, and is not known to be harmful.

    Attributes:
        path: of it.
        config: what its configuration says.
        architecture: such as "LlamaForCausalLM".
        kind: the task that it is for.
    """

    path: Path
    config: Mapping[str, Any]
    architecture: str
    kind: Kind


def is_adapter(path: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (path / ADAPTER).is_file() and not (path / CONFIG).is_file()


def looked_at(path: str | Path) -> Folder:
    """Look at a folder's configuration; nothing is loaded.

    Raises:
        ModelError: it is no such folder, or a model that no task here is for.
        UnsafeCheckpoint: it brings code of its own, or weights in pickles alone.
    """
    folder = existing(path)
    refuse_code(folder)
    config = read_json(folder / CONFIG)
    named = config.get("architectures")
    architecture = str(named[0]) if isinstance(named, list) and named else ""
    kind = next((kind for end, kind in KINDS.items() if re.search(end, architecture)), None)
    if kind is None:
        raise ModelError(
            f"{folder.name} holds a {shortened(architecture or 'model of no named kind', 80)}; "
            "causal language models, sequence classifiers and image classifiers can be audited."
        )
    refuse_size(folder, config)
    refuse_pickles(folder)
    return Folder(folder, config, architecture, kind)


def existing(path: str | Path) -> Path:
    """The folder at a path.

    Raises:
        ModelError: there is none; a model's name on the hub is not looked for.
    """
    folder = Path(path)
    try:
        there = folder.is_dir()
    except (OSError, ValueError):
        there = False
    if not there:
        raise ModelError(
            f"{shortened(path)} is no folder; models are opened from folders on this machine and "
            "never fetched, so download it first (such as with `hf download NAME --local-dir "
            "FOLDER`, which also asks for the rights to a gated one)."
        )
    return folder


def refuse_code(folder: Path) -> None:
    """Refuse a folder that brings code of its own.

    Raises:
        UnsafeCheckpoint: it does.
    """
    for name in WITH_CODE:
        if not (folder / name).is_file():
            continue
        found = read_json(folder / name)
        brings = [key for key in ("auto_map", "custom_pipelines") if found.get(key)]
        brings += [key for key, value in found.items() if _is_fetched(key, value)]
        if brings:
            raise UnsafeCheckpoint(
                f"{folder.name} brings code of its own ({name} has '{brings[0]}'), which is not "
                "run; give a folder whose architecture the transformers library knows, or build "
                "the model by a function of your own (--model FILE.py:function).",
                (f"{name}:{brings[0]}",),
            )


def _is_fetched(key: str, value: Any) -> bool:
    """Whether an entry names an implementation that the library would fetch and run."""
    return key.endswith("implementation") and isinstance(value, str) and "/" in value


def refuse_size(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse a configuration of a size that no machine has.

    Raises:
        ModelError: it has.
    """
    for name, value in config.items():
        if isinstance(value, int) and "layer" in name and value > MOST_LAYERS:
            raise ModelError(
                f"{folder.name} is said to have {name}={value}, more than any model has; check its "
                "config.json."
            )


POINTER = b"version https://git-lfs"
"""How a file begins that Git LFS left in the place of another."""


def refuse_pickles(folder: Path) -> None:
    """Refuse a folder without weights in safetensors files.

    Raises:
        UnsafeCheckpoint: its weights are pickles.
        ModelError: it has none, or what Git LFS left in their place.
    """
    if weights := sorted(folder.glob("*.safetensors")):
        for each in weights:
            with open(each, "rb") as stream:
                if stream.read(len(POINTER)) == POINTER:
                    raise ModelError(
                        f"{folder.name}/{each.name} is a pointer of Git LFS and not the weights; "
                        "fetch them with `git lfs pull`, or download the file."
                    )
        return
    pickles = sorted(
        each.name for each in folder.iterdir() if each.suffix in (".bin", ".pt", ".pth")
    )
    if pickles:
        raise UnsafeCheckpoint(
            f"{folder.name} holds its weights in pickles alone ({pickles[0]}), which can run code; "
            "ask for safetensors files, or convert them in a sandbox with `save_pretrained`.",
            (pickles[0],),
        )
    raise ModelError(f"{folder.name} holds no weights; download its .safetensors files.")


def read_json(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file.

    Raises:
        ModelError: it is not there or cannot be read.
    """
    where = f"{path.parent.name}/{path.name}" if path.parent.name else path.name
    if not path.is_file():
        raise ModelError(
            f"{where} does not exist; name a folder of a Hugging Face model, or build the model by "
            "a function of your own (--model FILE.py:function)."
        )
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError("it is too long")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{where} cannot be read ({type(error).__name__}: {shortened(error, 100)}); download "
            "the folder again."
        ) from None
    return found


def names_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of classes that a configuration gives, in the order of the logits; or nothing."""
    named = config.get("id2label")
    if not isinstance(named, dict):
        return ()
    try:
        return tuple(str(named[str(number)]) for number in range(len(named)))
    except KeyError:
        return ()
