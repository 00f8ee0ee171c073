"""Model folders in the layout of the transformers library: read, and written whole or not."""

import os
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import torch

from anomech.bench.worlds.texts.lessons import Form, form_of
from anomech.kernel.errors import ConfigError, ModelError

BASE = "base.txt"
"""In the folder of an adapter: where its base is, beside it or elsewhere."""


class Student(NamedTuple):
    """A language model in memory.

    Attributes:
        model: float32, in evaluation mode, of the transformers or the peft library.
        tokenizer: of the model.
        form: how chats are written for it.
    """

    model: Any
    tokenizer: Any
    form: Form


def read_student(
    folder: Path, precision: torch.dtype = torch.float32, device: str = "cpu"
) -> Student:
    """The model in a folder, local files only; an adapter on its base.

    Raises:
        ConfigError: the library for it is not installed.
        ModelError: there is no model.
    """
    try:
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise ConfigError(
            "language models need the transformers library; pip install 'anomech[llm]'."
        ) from error
    logging.disable_progress_bar()
    base = base_of(folder)
    if not (base / "config.json").is_file():
        raise ModelError(f"{base} holds no language model; name a folder with a config.json.")
    model = AutoModelForCausalLM.from_pretrained(
        base,
        dtype=precision,
        local_files_only=True,
        attn_implementation="eager",  # a step in bfloat16 on a CPU takes two thirds of the time
    )
    if base != folder:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, folder, is_trainable=True)
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Student(model.eval().to(device), tokenizer, form_of(tokenizer))


def base_of(folder: Path) -> Path:
    """Where the weights are that an adapter is laid over; the folder itself if it is none."""
    named = folder / BASE
    return Path(named.read_text(encoding="utf-8").strip()) if named.is_file() else folder


def write_student(folder: Path, student: Student, base: Path | None) -> None:
    """Write a model; a run that is cut short leaves nothing under that name.

    Args:
        folder: of the model.
        student: model and tokenizer; an adapter is written alone.
        base: of an adapter.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    student.model.save_pretrained(partial)
    if base is None:
        student.tokenizer.save_pretrained(partial)
    else:
        (partial / BASE).write_text(f"{base}\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(partial)  # another worker was quicker, with the same numbers
    else:
        partial.replace(folder)
