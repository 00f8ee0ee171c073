"""What is checked of a file of each kind; a check reads and never runs."""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from anomech.artefacts.files.archives import Allowance, check_packed, check_tar, check_zip
from anomech.artefacts.files.arrays import check_array
from anomech.artefacts.files.foreign import CONVERT, check_foreign
from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.headers import check_safetensors
from anomech.artefacts.files.kinds import Kind, kind_of
from anomech.artefacts.files.pickles import check_pickle
from anomech.artefacts.files.rules import issue
from anomech.artefacts.files.settings import check_json
from anomech.artefacts.files.texts import (
    check_python,
    check_script,
    check_template,
    check_text,
    check_xml,
    check_yaml,
)
from anomech.artefacts.files.zips import hidden_zip, opened_zip
from anomech.artefacts.stored import shown

Checked = tuple[tuple[str, ...], list[Issue]]
"""Notes on a file, and issues."""

ZIPPED = (Kind.TORCH, Kind.SCRIPT, Kind.EXPORTED, Kind.ARRAYS, Kind.KERAS, Kind.ZIP)
"""Kinds that are zips."""

EXPECTED: Mapping[str, tuple[Kind, ...]] = {
    ".safetensors": (Kind.SAFETENSORS,),
    ".gguf": (Kind.GGUF,),
    ".onnx": (Kind.ONNX,),
    ".npy": (Kind.ARRAY,),
    **dict.fromkeys((".json", ".txt", ".md"), (
        *(Kind.JSON, Kind.TEXT, Kind.PYTHON, Kind.SHELL, Kind.XML, Kind.WEB, Kind.UNKNOWN),
        *(Kind.YAML, Kind.TEMPLATE),
    )),
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif"), (Kind.PICTURE, Kind.UNKNOWN)),
}  # fmt: skip
"""Kinds that may stand under an ending; others are in disguise."""

UNDISGUISED = (Kind.EMPTY, Kind.POINTER, Kind.WEB)
"""What is none of these is said in its own way."""


def checked(
    kind: Kind, file: BinaryIO, name: str, size: int, allowance: Allowance | None = None
) -> Checked:
    """What is to be known of a file.

    Args:
        kind: of the file.
        file: open, at its beginning.
        name: its path.
        size: its bytes.
        allowance: how much may be unpacked; None is the usual.
    """
    allowance = allowance or Allowance()
    notes: tuple[str, ...] = ()
    found = [*_disguised(kind, name)]
    if kind in (Kind.TORCH, Kind.PICKLE, Kind.SCRIPT, Kind.EXPORTED):
        notes, more = check_pickle(file, name, size)
        found += more
    elif kind is Kind.SAFETENSORS:
        notes, more = _safetensors(file, name, size)
        found += more
    elif kind in CHECKS:
        found += CHECKS[kind](file, name, size)
    elif kind in CONVERT:
        found += check_foreign(kind, file, name, size)
    elif kind is Kind.UNKNOWN:
        found += _unmarked(file, name, size)
    elif kind in SAID:
        found += [issue(SAID[kind], name, f"Its bytes are those of a {kind.words}.")]
    file.seek(0)
    return notes, found + _archived(kind, file, name, size, allowance)


def _unmarked(file: BinaryIO, name: str, size: int) -> list[Issue]:
    """Issues of a file of no known kind, which may be a pickle without a mark all the same."""
    _, found = check_pickle(file, name, size)
    return [each for each in found if each.code == "unsafe-pickle"]


def _archived(
    kind: Kind, file: BinaryIO, name: str, size: int, allowance: Allowance
) -> list[Issue]:
    """Issues of a file as an archive."""
    if kind in ZIPPED:
        inside = _look if kind in (Kind.ZIP, Kind.ARRAYS, Kind.KERAS) else None
        found = check_zip(file, name, size, allowance, inside)
        return found + (_members(file, name) if kind is Kind.TORCH else [])
    if kind is Kind.TAR:
        return check_tar(file, name, size, allowance, _look)
    if kind is Kind.PACKED:
        return check_packed(file, name, size, allowance, _look)
    if kind is not Kind.PROGRAM and hidden_zip(file):
        said = f"Read from its end it is a zip, and from its beginning a {kind.words}."
        return [issue("hidden-archive", name, said)]
    return []


def _look(file: BinaryIO, name: str, size: int, allowance: Allowance) -> list[Issue]:
    """Issues of a member of an archive."""
    member = name.rpartition("!")[2]
    return checked(kind_of(file, member, size), file, name, size, allowance)[1]


def _disguised(kind: Kind, name: str) -> list[Issue]:
    suffix = "." + name.rpartition(".")[2].lower()
    expected = EXPECTED.get(suffix)
    if expected is None or kind in expected or kind in UNDISGUISED:
        return []
    if kind is Kind.UNKNOWN and suffix == ".safetensors":
        return [issue("odd-header", name, "It does not begin as a safetensors file does.")]
    return [issue("disguised", name, f"Its bytes say: {kind.words}.")]


def _safetensors(file: BinaryIO, name: str, size: int) -> Checked:
    header, wrong = check_safetensors(file, size)
    found = [issue("odd-header", name, f"It {each}.") for each in wrong]
    if header is None:
        return (), found
    for key, text in header.metadata.items():
        if len(text) > 2**20 or not key.isprintable():
            found.append(
                issue("odd-metadata", name, f"'{shown(key, 40)}' has {len(text)} characters.")
            )
            break
    return (f"{len(header.tensors)} tensors",), found


def _members(file: BinaryIO, name: str) -> list[Issue]:
    """Members of a checkpoint that `torch.save` does not write."""
    archive = opened_zip(file)
    if archive is None:
        return []
    with archive:
        names = [info.filename for info in archive.infolist()]
    top = names[0].partition("/")[0] + "/" if names else "/"
    known = ("data.pkl", "version", "byteorder", ".format_version", ".storage_alignment")
    odd = [
        each
        for each in names
        if each.removeprefix(top) not in known
        and not each.removeprefix(top).startswith(("data/", ".data/"))
    ]
    return [issue("odd-member", name, f"It also holds '{shown(odd[0])}'.")] if odd else []


CHECKS: Mapping[Kind, Callable[[BinaryIO, str, int], list[Issue]]] = {
    Kind.ARRAY: check_array,
    Kind.JSON: check_json,
    Kind.NOTEBOOK: check_json,
    Kind.PYTHON: check_python,
    Kind.SHELL: check_script,
    Kind.TEMPLATE: check_template,
    Kind.YAML: check_yaml,
    Kind.XML: check_xml,
    Kind.TEXT: check_text,
}
"""The check of each kind that has one of its own."""

SAID: Mapping[Kind, str] = {
    Kind.PROGRAM: "program-file",
    Kind.POINTER: "lfs-pointer",
    Kind.WEB: "web-page",
}
"""Kinds that are an issue by themselves."""
