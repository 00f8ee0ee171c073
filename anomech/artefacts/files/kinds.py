"""What a file is, by its bytes; its name decides only between kinds of text."""

import re
from collections.abc import Sequence
from enum import Enum
from typing import BinaryIO

from anomech.artefacts.files.zips import opened_zip
from anomech.artefacts.inert import kinds as inert
from anomech.artefacts.inert.nodes import Refused

HEAD = 4096
"""Bytes at the beginning that are looked at."""


class Kind(Enum):
    """Kinds of files: words for a person, and whether a model's tensors are read from it."""

    SAFETENSORS = "safetensors", True
    TORCH = "PyTorch checkpoint", True
    PICKLE = "pickle", True
    SCRIPT = "TorchScript program", False
    EXPORTED = "program of torch.export", False
    ONNX = "ONNX model", False
    HDF5 = "HDF5 file, as Keras writes it", False
    KERAS = "Keras model", False
    GGUF = "GGUF file", False
    TENSORFLOW = "TensorFlow model", False
    OTHER_MODEL = "model of another framework", False
    ARRAY = "numpy array", False
    ARRAYS = "archive of numpy arrays", False
    ZIP = "zip archive", False
    TAR = "tar archive", False
    PACKED = "packed file", False
    PROGRAM = "program or library", False
    POINTER = "pointer of Git LFS", False
    PYTHON = "Python code", False
    SHELL = "script", False
    NOTEBOOK = "notebook", False
    JSON = "JSON", False
    YAML = "YAML", False
    TEMPLATE = "template", False
    XML = "XML", False
    WEB = "web page", False
    PICTURE = "picture", False
    TEXT = "text", False
    EMPTY = "empty file", False
    UNKNOWN = "unknown", False

    def __init__(self, words: str, weights: bool) -> None:
        self.words = words
        self.weights = weights


MODELS = frozenset(
    {
        *(Kind.SAFETENSORS, Kind.TORCH, Kind.PICKLE, Kind.SCRIPT, Kind.EXPORTED, Kind.ONNX),
        *(Kind.HDF5, Kind.KERAS, Kind.GGUF, Kind.TENSORFLOW, Kind.OTHER_MODEL),
        *(Kind.ARRAY, Kind.ARRAYS, Kind.ZIP, Kind.TAR, Kind.PACKED),
    }
)
"""Kinds in which a model can be; archives may hold one of any kind."""

_HEADS: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (0, b"GGUF", Kind.GGUF),
    (4, b"TFL3", Kind.OTHER_MODEL),
    (4, b"ET12", Kind.OTHER_MODEL),
    (0, b"\x93NUMPY", Kind.ARRAY),
    *((0, mark, Kind.PACKED) for mark in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh")),
    *((0, mark, Kind.PACKED) for mark in (b"7z\xbc\xaf\x27\x1c", b"Rar!")),
    (257, b"ustar", Kind.TAR),
    (0, b"version https://git-lfs", Kind.POINTER),
    *((0, mark, Kind.PROGRAM) for mark in (b"\x7fELF", b"MZ", b"\xca\xfe\xba\xbe", b"dex\n")),
    *((0, mark, Kind.PROGRAM) for mark in (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\0asm")),
    *((0, mark, Kind.PICTURE) for mark in (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")),
    (0, b"#!", Kind.SHELL),
)  # fmt: skip

_SUFFIXES: dict[str, Kind] = {
    **dict.fromkeys((".py", ".pyi", ".pyx", ".pth"), Kind.PYTHON),
    **dict.fromkeys((".sh", ".bash", ".bat", ".cmd", ".ps1", ".js", ".rb", ".pl"), Kind.SHELL),
    **dict.fromkeys((".yaml", ".yml"), Kind.YAML),
    **dict.fromkeys((".jinja", ".jinja2", ".j2"), Kind.TEMPLATE),
    **dict.fromkeys((".xml", ".pmml", ".svg"), Kind.XML),
    ".ipynb": Kind.NOTEBOOK,
    ".json": Kind.JSON,
}
"""Kinds of text by the ending of a name."""

_PROGRAMS = (".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib", ".exe", ".jar", ".whl")


def kind_of(file: BinaryIO, name: str, size: int) -> Kind:
    """The kind of an open file; it is left at its beginning.

    Args:
        file: at its beginning.
        name: its path.
        size: its bytes.
    """
    head = file.read(HEAD)
    file.seek(0)
    suffix = "." + name.rpartition("/")[2].rpartition(".")[2].lower()
    if not head:
        return Kind.EMPTY
    if head[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return Kind.PROGRAM if suffix in (".jar", ".whl") else _zip_kind(file)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return Kind.SAFETENSORS
    for place, mark, kind in _HEADS:
        if head[place : place + len(mark)] == mark:
            return kind
    if suffix in _PROGRAMS:
        return Kind.PROGRAM
    if name.rpartition("/")[2] in ("saved_model.pb", "keras_metadata.pb"):
        return Kind.TENSORFLOW
    return _text_kind(head, suffix) or _binary_kind(head, suffix)


def _binary_kind(head: bytes, suffix: str) -> Kind:
    try:
        inert.refuse_head(head)
    except Refused as refused:
        return Kind.ONNX if refused.what == inert.ONNX[0] else Kind.UNKNOWN
    marked = head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
    if marked or _NAMING.match(head) or (suffix in PICKLED and head[:1] in OPENERS):
        return Kind.PICKLE
    return Kind.UNKNOWN


PICKLED = (".pkl", ".pickle", ".pt", ".pth", ".bin", ".ckpt", ".joblib", ".dill", ".p", ".model")
"""Endings under which pickles of the first protocols are looked for; these have no mark."""

OPENERS = tuple(bytes([code]) for code in b"(c]})NKMJGUTXCiSVIFL\x88\x89\x8a")
"""Instructions that such a pickle may begin with."""

# A pickle without a mark that names a function at once, as whoever hides one would write it.
_NAMING = re.compile(
    rb"[(\]}]{0,20}c[\w.]{1,200}\r?\n[\w.]{1,200}\r?\n(?:p\d+\r?\n|q.|r....)?[(\]})]", re.DOTALL
)


def _text_kind(head: bytes, suffix: str) -> Kind | None:
    """The kind of a text; None if it is none."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not merely a character that was cut
            return None
        text = head[: error.start].decode("utf-8")
    if any(ord(character) < 32 and character not in "\t\n\r\f\x1b" for character in text):
        return None
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<!doctype html", "<html")):
        return Kind.WEB
    hidden = _NAMING.match(head) or (suffix in PICKLED and head[:1] in OPENERS)
    if hidden and not start.startswith("import "):
        return None
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if start.startswith("<?xml"):
        return Kind.XML
    return Kind.PYTHON if start.startswith("import ") else Kind.TEXT


def _zip_kind(file: BinaryIO) -> Kind:
    """The kind of a zip by the names of its members."""
    names = _member_names(file)
    file.seek(0)
    ends = {name.rpartition("/")[2] for name in names}
    try:
        inert.refuse_members(names)
    except Refused as refused:
        for word, kind in _ZIPPED:
            if word in refused.what:
                return kind
        return Kind.ZIP
    return Kind.TORCH if "data.pkl" in ends else Kind.ZIP


_ZIPPED = (
    ("Keras", Kind.KERAS), ("torch.export", Kind.EXPORTED), ("TorchScript", Kind.SCRIPT),
    ("numpy", Kind.ARRAYS), ("TensorFlow", Kind.TENSORFLOW),
)  # fmt: skip


def _member_names(file: BinaryIO) -> Sequence[str]:
    """Names in the directory of a zip; none if it is damaged or very large."""
    archive = opened_zip(file)
    if archive is None:
        return ()
    with archive:
        return [info.filename for info in archive.infolist()]
