"""Model folders of the Hugging Face libraries, opened without running anything in them.

A folder is a stranger's: code that it brings (`auto_map`) is refused and never asked for, weights
are read from safetensors files alone, and a configuration that promises more than the files hold is
refused before anything is allocated.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import nn

from anomech.kernel.errors import ConfigError, ModelError, UnsafeCheckpoint, answered, shortened

Kind = Literal["causal_lm", "text_classifier", "image_classifier"]

KINDS: Mapping[str, Kind] = {
    r"(ForCausalLM|LMHeadModel)$": "causal_lm",
    r"ForSequenceClassification$": "text_classifier",
    r"ForImageClassification$": "image_classifier",
}
"""Which task an architecture is for, by the end of its name."""

AUTO: Mapping[Kind, str] = {
    "causal_lm": "AutoModelForCausalLM",
    "text_classifier": "AutoModelForSequenceClassification",
    "image_classifier": "AutoModelForImageClassification",
}

CONFIG, ADAPTER = "config.json", "adapter_config.json"
WITH_CODE = (CONFIG, ADAPTER, "tokenizer_config.json", "preprocessor_config.json")
"""Files that may name code of the folder's own."""

LARGEST_JSON = 2**26
MOST_LAYERS = 2048


@dataclass(frozen=True, eq=False)
class WithTokenizer:
    """A model of texts.

    Attributes:
        network: the model.
        tokenizer: what makes tokens of texts.
        names: of classes in the order of the logits, if it is a classifier and they are known.
        base: the model that it was made of, if that is known.
    """

    network: nn.Module
    tokenizer: Any
    names: tuple[str, ...] = ()
    base: nn.Module | None = None


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
        ModelError: it cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError("it is too long")
        found = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(
            f"{path.parent.name}/{path.name} cannot be read ({type(error).__name__}: "
            f"{shortened(error, 100)}); download the folder again."
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


def library(name: str = "transformers") -> Any:
    """A library for language models.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return __import__(name)
    except ImportError:
        raise ConfigError(
            f"a Hugging Face folder needs the library {name}; install it with `pip install "
            "'anomech[llm]'`."
        ) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Let the transformers library say nothing while a model is loaded."""
    logging = library().utils.logging
    before, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if shown:
            logging.enable_progress_bar()


def load_network(folder: Folder, *, dtype: str = "auto", device_map: str = "") -> nn.Module:
    """The model of a folder, in evaluation mode.

    Args:
        folder: that was looked at.
        dtype: of its numbers, such as "bfloat16"; "auto" is as they are stored.
        device_map: how it is spread over devices, such as "auto"; empty loads it to the CPU.

    Raises:
        ModelError: it cannot be loaded, or tensors are missing or of other shapes.
    """
    made = getattr(library(), AUTO[folder.kind])
    options: dict[str, Any] = {"dtype": dtype}
    if device_map:
        library("accelerate")
        options["device_map"] = device_map

    def load() -> Any:
        with quiet():
            return made.from_pretrained(
                str(folder.path),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )

    network, info = answered(load, _refusal(folder.path, "loaded"))
    wrong = [*info.get("missing_keys", ()), *info.get("mismatched_keys", ())]
    if wrong:
        raise ModelError(
            f"{folder.path.name} does not hold all of its model: {len(wrong)} tensors are missing "
            f"or of other shapes, such as {shortened(sorted(map(str, wrong))[0], 100)}; download "
            "it again."
        )
    return network.eval()  # type: ignore[no-any-return]


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder.

    Raises:
        ModelError: there is none.
    """

    def load() -> Any:
        with quiet():
            return library().AutoTokenizer.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False
            )

    return answered(load, _refusal(folder, "read as a tokenizer"))


def with_adapter(network: nn.Module, path: str | Path) -> nn.Module:
    """A model with the factors of a LoRA adapter in it; its own weights stay apart from them.

    Args:
        network: the adapter's base, which is changed.
        path: folder of the adapter.

    Raises:
        ModelError: the adapter does not belong to this model.
        UnsafeCheckpoint: it brings code of its own, or weights in pickles alone.
    """
    folder = existing(path)
    refuse_code(folder)
    config = read_json(folder / ADAPTER)
    refuse_pickles(folder)
    if config.get("peft_type") != "LORA":
        raise ModelError(
            f"{folder.name} is an adapter of the kind {shortened(config.get('peft_type'), 40)}; "
            "LoRA adapters can be audited, so merge others into their model first."
        )
    peft = library("peft")

    def load() -> Any:
        with quiet():
            adapted = peft.PeftModel.from_pretrained(network, str(folder), local_files_only=True)
        return adapted.base_model.model.eval()

    refusal = _refusal(folder, "put on this model (is it for another base?)")
    return answered(load, refusal)  # type: ignore[no-any-return]


def _refusal(folder: Path, what: str) -> Callable[[str], ModelError]:
    def refuse(why: str) -> ModelError:
        short = shortened(why.split("\n")[0], 200).rstrip(".")
        return ModelError(
            f"{folder.name} cannot be {what} ({short}); check that the folder is whole and that "
            "its parts belong together."
        )

    return refuse
