"""What files of one folder say of each other: sizes by the config, tensors by the index."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.headers import Header
from anomech.artefacts.files.rules import issue
from anomech.artefacts.stored import shown

_LAYER = re.compile(r"\b(?:layers?|h|blocks?|block)\.(\d{1,5})\.")
_EMBEDDING = re.compile(
    r"(?:embed_tokens|word_embeddings|wte|tok_embeddings|embed_in|shared)\.weight$"
)
ROUNDING = 256
"""Rows that an embedding may have beyond its vocabulary, which is often rounded up."""


@dataclass(frozen=True)
class Folder:
    """What was read of one folder.

    Attributes:
        name: of the folder inside the model's; empty for the model's own.
        names: of its files, without the folder.
        headers: of its safetensors files by name.
        settings: its JSON files by name, those that are mappings.
    """

    name: str
    names: frozenset[str]
    headers: Mapping[str, Header]
    settings: Mapping[str, Mapping[str, Any]]


def check_folder(folder: Folder) -> Iterator[Issue]:
    """Issues between the files of a folder."""
    for name, content in folder.settings.items():
        if name.endswith(".index.json"):
            yield from _indexed(folder, name, content)
    config = folder.settings.get("config.json")
    if config is not None and folder.headers:
        yield from _sizes(folder, config)


def _indexed(folder: Folder, name: str, content: Mapping[str, Any]) -> Iterator[Issue]:
    placed = content.get("weight_map")
    if not isinstance(placed, Mapping):
        return
    where = _in(folder, name)
    lost = sorted({str(each) for each in placed.values()} - folder.names)
    if lost:
        yield issue("odd-index", where, f"It names '{shown(lost[0])}', which is not there.")
        return
    for tensor, file in placed.items():
        header = folder.headers.get(str(file))
        if header is not None and tensor not in header.tensors:
            said = f"It says that '{shown(tensor, 60)}' is in {shown(str(file))}, where it is not."
            yield issue("odd-index", where, said)
            return
    for file in {str(each) for each in placed.values()} & set(folder.headers):
        more = [each for each in folder.headers[file].tensors if each not in placed]
        if more:
            said = f"{shown(file)} holds '{shown(more[0], 60)}', which the index does not name."
            yield issue("odd-index", where, said)
            return


def _sizes(folder: Folder, config: Mapping[str, Any]) -> Iterator[Issue]:
    """Tensors against the sizes of a config: layers, vocabulary, width."""
    where = _in(folder, "config.json")
    text = config.get("text_config")
    sizes = {**config, **(text if isinstance(text, Mapping) else {})}
    shapes = {
        name: each.shape for one in folder.headers.values() for name, each in one.tensors.items()
    }
    layers = _whole(sizes, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    found = _layers(shapes)
    if layers is not None and found and layers not in found and not _shared(config):
        said = f"It says {layers} layers, and the weights have {max(found)}."
        yield issue("odd-size", where, said)
    vocabulary = _whole(sizes, "vocab_size")
    width = None
    if not {"embedding_size", "word_embed_proj_dim"} & set(sizes):
        width = _whole(sizes, "hidden_size", "n_embd", "d_model")
    for name, shape in shapes.items():
        if len(shape) != 2 or not _EMBEDDING.search(name):
            continue
        over = vocabulary is not None and not 0 <= shape[0] - vocabulary <= ROUNDING
        wide = width is not None and shape[1] != width
        if over or wide:
            said = f"It says {vocabulary} tokens of {width} numbers"
            said += f", and '{shown(name, 60)}' is {list(shape)}."
            yield issue("odd-size", where, said)
            return


def _layers(shapes: Mapping[str, Any]) -> set[int]:
    """How many layers each row of them has, by the names of tensors."""
    rows: dict[str, set[int]] = {}
    for name in shapes:
        if (found := _LAYER.search(name)) is not None:
            rows.setdefault(name[: found.start(1)], set()).add(int(found.group(1)))
    return {max(row) + 1 for row in rows.values()}


def _shared(config: Mapping[str, Any]) -> bool:
    """Whether a model counts its layers otherwise: some draft tokens, are shared, or decode."""
    others = ("num_nextn", "encoder_", "decoder_", "num_decoder", "num_hidden_groups")
    return any(key.startswith(others) for key in config)


def _whole(sizes: Mapping[str, Any], *names: str) -> int | None:
    found = next((sizes[name] for name in names if name in sizes), None)
    return found if type(found) is int and found > 0 else None


def _in(folder: Folder, name: str) -> str:
    return str(PurePosixPath(folder.name) / name) if folder.name else name
