"""Models, tokenizers and adapters of Hugging Face folders, loaded without running their code."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from anomech.artefacts.hugging_face_folders import (
    ADAPTER,
    Folder,
    Kind,
    existing,
    read_json,
    refuse_code,
    refuse_pickles,
)
from anomech.kernel.errors import ConfigError, ModelError, answered, shortened

AUTO: Mapping[Kind, str] = {
    "causal_lm": "AutoModelForCausalLM",
    "text_classifier": "AutoModelForSequenceClassification",
    "image_classifier": "AutoModelForImageClassification",
}


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
