"""Models of other frameworks: recognized, searched for what they would run, and not opened.

Each says the way to weights that can be judged here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.kinds import Kind
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.texts import template_problem
from anomech.artefacts.files.zips import DAMAGED, leads_out, opened_zip
from anomech.artefacts.stored import shown

WINDOW = 2**26
"""Bytes at the beginning that are searched (64 MiB); graphs and settings stand there."""

CONVERT: Mapping[Kind, str] = {
    Kind.ONNX: "Ask for the PyTorch weights it was exported from, as safetensors.",
    Kind.HDF5: "Read its weights with Keras where it is trusted, name them as the PyTorch model "
    "does, and save them as safetensors.",
    Kind.KERAS: "Read its weights with Keras where it is trusted, name them as the PyTorch model "
    "does, and save them as safetensors.",
    Kind.GGUF: "Ask for the safetensors that it was quantized from; or load it with "
    "transformers (gguf_file=...) where it is trusted, and save that.",
    Kind.TENSORFLOW: "Export its variables to numpy where it is trusted, and save them as "
    "safetensors under the names of the PyTorch model.",
    Kind.OTHER_MODEL: "Ask for the PyTorch weights it was made from, as safetensors.",
}
"""How weights that can be judged are got from a model of each kind."""

_LAMBDA = re.compile(rb'"class_name"\s*:\s*"(?:Lambda|TFOpLambda|SlicingOpLambda)"')
_MODULE = re.compile(rb'"(?:module|registered_name)"\s*:\s*"([^"]{1,200})"')
_OPS = re.compile(rb"\b(ReadFile|WriteFile|PyFunc|EagerPyFunc|PyFuncStateless|MatchingFiles)\b")
_LOCATION = re.compile(rb"\x0a\x08location\x12")
_CHAT = re.compile(rb"tokenizer\.chat_template\x08\x00\x00\x00")


def check_foreign(kind: Kind, file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a model of another framework."""
    data = file.read(WINDOW)
    if kind is Kind.KERAS:
        data = _settings(file)
    found = list(_SEARCHES[kind](data, name)) if kind in _SEARCHES else []
    said = f"Its bytes say: {kind.words}. Its weights are not read here."
    return [*found, issue("other-format", name, said, CONVERT[kind])]


def _settings(file: BinaryIO) -> bytes:
    """The settings in a Keras archive."""
    archive = opened_zip(file)
    if archive is None:
        return b""
    with archive:
        try:
            with archive.open("config.json") as member:
                return member.read(WINDOW)
        except (KeyError, *DAMAGED):
            return b""


def _keras(data: bytes, name: str) -> Iterator[Issue]:
    if _LAMBDA.search(data):
        said = "It has a Lambda layer, whose code is stored in the file and run when it is loaded."
        yield issue("keras-code", name, said)
    for found in _MODULE.finditer(data):
        module = found.group(1).decode("utf-8", "replace")
        if not re.match(r"(?:keras|tensorflow|tf_keras|builtins$|Custom>|Addons>)|[A-Z]", module):
            yield issue("keras-code", name, f"It names the module '{shown(module, 60)}'.")
            return


def _tensorflow(data: bytes, name: str) -> Iterator[Issue]:
    found = _OPS.search(data)
    if found:
        said = f"Its graph has the operation {found.group().decode()}, which reaches files or code."
        yield issue("tensorflow-code", name, said)


def _onnx(data: bytes, name: str) -> Iterator[Issue]:
    for found in _LOCATION.finditer(data):
        path = _text_at(data, found.end())
        if leads_out(path):
            said = f"It keeps tensors in '{shown(path)}', which lies outside of the folder."
            yield issue("path-out", name, said)
            return


def _text_at(data: bytes, place: int) -> str:
    """A text behind its length, which takes one byte or two."""
    length = int.from_bytes(data[place : place + 1], "little")
    if length >= 128:
        length += (int.from_bytes(data[place + 1 : place + 2], "little") << 7) - 128
        place += 1
    return data[place + 1 : place + 1 + length].decode("utf-8", "replace")


def _gguf(data: bytes, name: str) -> Iterator[Issue]:
    found = _CHAT.search(data)
    if found:
        length = int.from_bytes(data[found.end() : found.end() + 8], "little")
        text = data[found.end() + 8 : found.end() + 8 + min(length, 2**20)]
        if tried := template_problem(text.decode("utf-8", "replace")):
            yield issue("template-code", name, f"Its chat template holds '{tried}'.")


_SEARCHES = {
    Kind.HDF5: _keras,
    Kind.KERAS: _keras,
    Kind.TENSORFLOW: _tensorflow,
    Kind.ONNX: _onnx,
    Kind.GGUF: _gguf,
}
