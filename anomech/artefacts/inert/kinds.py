"""Files that are no checkpoints of torch, known by what they hold, and what to do about each.

A name says little: people rename files, and servers send pages instead of files.
"""

from collections.abc import Sequence

from anomech.artefacts.inert.nodes import Refused

HEAD = 4096
"""Bytes at the beginning of a file that are looked at."""

_KERAS = "read its weights with Keras, name them as the PyTorch model does and save safetensors"
_UNPACK = "unpack it and name the file inside"

HEADS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", "is an HDF5 file, as Keras writes it", _KERAS),
    (0, b"GGUF", "is a GGUF file of quantized weights", "ask for the safetensors of the model"),
    (4, b"TFL3", "is a TensorFlow Lite model", "ask for the PyTorch weights it was made from"),
    (4, b"ET12", "is an ExecuTorch program", "ask for the PyTorch weights it was made from"),
    (0, b"\x93NUMPY", "is an array of numpy", "save a state dict: torch.save(model.state_dict())"),
    (0, b"\x1f\x8b", "is packed with gzip", "unpack it with gunzip and name the file inside"),
    (0, b"\x28\xb5\x2f\xfd", "is packed with zstd", _UNPACK),
    (0, b"\xfd7zXZ", "is packed with xz", _UNPACK),
    (0, b"BZh", "is packed with bzip2", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "is a 7z archive", _UNPACK),
    (0, b"Rar!", "is a RAR archive", _UNPACK),
    (257, b"ustar", "is a tar archive", _UNPACK),
    (0, b"MATLAB 5.0", "is a MATLAB file", "convert its arrays and save safetensors"),
    (0, b"version https://git-lfs", "is a pointer of Git LFS, not the file itself",
     "fetch it with git lfs pull"),
    (0, b"\x7fELF", "is a program", "name a checkpoint"),
    (0, b"MZ", "is a program", "name a checkpoint"),
)  # fmt: skip
"""Place, bytes, what a file that has them there is, and what to do."""

_TEXTS: tuple[tuple[bytes, str, str], ...] = (
    (b"<!doctype html", "is a web page, not a checkpoint", "download the file itself"),
    (b"<html", "is a web page, not a checkpoint", "download the file itself"),
    (b"<?xml", "is an XML file", "name the file that holds the weights"),
    (b"{", "is a JSON file", "name the file that holds the weights, not its index"),
    (b"import ", "is a Python file", "give it with --model and the weights beside it"),
)

ONNX = ("is an ONNX model", "ask for the PyTorch weights and code it was exported from")


def refuse_head(head: bytes) -> None:
    """Look at the beginning of a file.

    Raises:
        Refused: it is of another kind; says which, and what to do.
    """
    for place, mark, what, remedy in HEADS:
        if head[place : place + len(mark)] == mark:
            raise Refused(what, remedy)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for mark, what, remedy in _TEXTS:
        if start.startswith(mark):
            raise Refused(what, remedy)
    if _is_onnx(head):
        raise Refused(*ONNX)


def _is_onnx(head: bytes) -> bool:
    """A protocol buffer whose first field is a small version, and whose next is text or a graph."""
    if len(head) < 4 or head[0] != 0x08 or not 1 <= head[1] <= 32:
        return False
    if head[2] == 0x12:  # the name of the program that wrote it
        name = head[4 : 4 + head[3]]
        return len(name) > 0 and all(32 <= byte < 127 for byte in name)
    return head[2] in (0x3A, 0x42)


def refuse_members(names: Sequence[str]) -> None:
    """Look at the names in a zip.

    Raises:
        Refused: it is of another kind; says which, and what to do.
    """
    ends = {name.rpartition("/")[2] for name in names}
    folders = {piece for name in names for piece in name.split("/")[:-1][:3]}
    if "model.weights.h5" in ends:
        raise Refused("is a model of Keras", _KERAS)
    if "archive_format" in ends or "serialized_exported_program.json" in ends:
        raise Refused(
            "is a program of torch.export, which is not run",
            "save its weights where it is trusted: torch.save(torch.export.load(path).state_dict, "
            "'weights.pt')",
        )
    if "constants.pkl" in ends or "code" in folders or "bytecode.pkl" in ends:
        raise Refused(
            "is a TorchScript program, which is not run",
            "save its weights where it is trusted: torch.save(torch.jit.load(path).state_dict(), "
            "'weights.pt')",
        )
    if names and all(name.endswith(".npy") for name in names):
        raise Refused(
            "is an archive of numpy arrays",
            "save a state dict: torch.save({name: torch.tensor(array) ...}, 'weights.pt')",
        )
    if "saved_model.pb" in ends:
        raise Refused("is a model of TensorFlow", _KERAS)
    inner = [end for end in ends if end.endswith((".pt", ".pth", ".ckpt", ".safetensors", ".bin"))]
    if inner and not any(end.endswith(".pkl") for end in ends):
        raise Refused("is a zip with checkpoints in it", _UNPACK)
