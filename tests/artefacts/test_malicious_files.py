"""Fifty malicious or unfit files of different kinds: none runs, none fills memory, each is named.

The table is made here, each file by a function of a few lines, and read through the front door. A
file is refused with a sentence that says what it is, or it is read and what it says is harmless.
"""

import io
import json
import os
import pickle
import resource
import struct
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from anomech.artefacts import sandbox
from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.inert.machine import Machine
from anomech.artefacts.inert.nodes import Refused
from anomech.kernel.errors import AnomechError, ModelError, UnsafeCheckpoint

MARKER = Path(tempfile.gettempdir()) / f"anomech-ran-{os.getpid()}"
COMMAND = f"touch {MARKER}"
MEMORY = 600  # MiB that reading one of these may add here; the process that reads has its own limit


class Calls:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def torch_zip(*members):
    """A zip as torch writes it, from names and contents."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        warnings.simplefilter("ignore")  # that two members have one name, which is the point
        for name, data in members:
            archive.writestr(name, data)
    return stream.getvalue()


def stream(body):
    """A pickle in the place of a checkpoint's."""
    return torch_zip(("archive/data.pkl", body), ("archive/version", b"3\n"))


def saved(value, **options):
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def text(word):
    return b"\x8c" + bytes([len(word)]) + word.encode()


RUN = b"cposix\nsystem\n(X" + struct.pack("<I", len(COMMAND)) + COMMAND.encode() + b"tR."
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
BYTES = b"cbuiltins\nbytearray\n"


def number(value):
    return b"\x8a\x08" + struct.pack("<q", value)


def storage(count, key=b"0"):
    return b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x00" + key + (
        b"X\x03\x00\x00\x00cpu" + number(count) + b"tQ"
    )  # fmt: skip


def one_tensor(count, shape, strides, offset=0, held=b"\0" * 16):
    sides = [b"(" + b"".join(map(number, each)) + b"t" for each in (shape, strides)]
    body = b"".join(
        [b"\x80\x02}X\x01\x00\x00\x00w", TENSOR, b"(", storage(count), number(offset), *sides]
    )
    body += b"\x89ccollections\nOrderedDict\n)RtRs."
    return torch_zip(("archive/data.pkl", body), ("archive/data/0", held))


def nested_encode(depth):
    body = text("a")
    for _ in range(depth):
        body = b"c_codecs\nencode\n(" + body + text("latin1") + b"tR"
    return b"\x80\x04" + body + b"."


def deep(step, depth):
    return stream(b"\x80\x02}K\x01" + b")" + step * depth + b"s.")


def doubled():
    return stream(b"\x80\x02}" + b")" + b"2\x86" * 40 + b"K\x01s.")


def names_hidden_by_pop():
    return stream(b"\x80\x04" + text("collections") + text("OrderedDict")
                  + text("posix") + b"0" + b"\x930" + b"cposix\nsystem\n0}.")  # fmt: skip


def computed_name():
    return stream(
        b"\x80\x04cbuiltins\nstr\n" + text("posix") + b"\x85R" + text("system") + b"\x93."
    )


def two_members():
    good, evil = pickle.dumps({}, 2), b"\x80\x02" + RUN
    return torch_zip(("archive/data.pkl", good), ("archive/data.pkl", evil))


def other_folder():
    return torch_zip(("archive/data.pkl", pickle.dumps({}, 2)), ("b/data.pkl", b"\x80\x02" + RUN))


def safetensors(header, data=b""):
    packed = json.dumps(header).encode() if isinstance(header, dict) else header
    return struct.pack("<Q", len(packed)) + packed + data


def long_name():
    names = {"module." * 200_000 + "w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
    return safetensors(names, b"\0" * 4)


def compressed():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}, 2))
        archive.writestr("archive/data/0", bytes(2**24))
    return file.getvalue()


def overlapping():
    """Two names for one member's bytes, so that the members claim more than the file has."""
    whole = bytearray(
        torch_zip(("archive/data.pkl", pickle.dumps({}, 2)), ("archive/data/0", b"x"))
    )
    place = whole.rfind(b"PK\x01\x02")
    whole[place + 20 : place + 28] = struct.pack("<II", 2**30, 2**30)
    return bytes(whole)


def torchscript(extra=b"\x80\x02)."):
    return torch_zip(("archive/data.pkl", b"\x80\x02c__torch__\nNet\n)\x81."),
                     ("archive/code/net.py", b""), ("archive/constants.pkl", extra))  # fmt: skip


def npy(value):
    file = io.BytesIO()
    np.save(file, value, allow_pickle=True)
    return file.getvalue()


def npz():
    file = io.BytesIO()
    np.savez(file, w=np.ones(2))
    return file.getvalue()


ONNX = b"\x08\x07\x12\x07pytorch\x1a\x051.0.0" + bytes(40)
WHOLE = torch.nn.Sequential(torch.nn.Linear(2, 2))

TABLE = {
    # code that loading would run
    "a command": (lambda: saved({"a": Calls(os.system, COMMAND)}), "posix.system"),
    "python": (lambda: saved(Calls(exec, f"open({str(MARKER)!r}, 'w').close()")), "builtins.exec"),
    "older format": (
        lambda: saved({"a": Calls(os.system, COMMAND)}, _use_new_zipfile_serialization=False),
        "posix.system",
    ),
    "bare pickle": (lambda: pickle.dumps(Calls(os.system, COMMAND), 4), "posix.system"),
    "protocol 0": (lambda: pickle.dumps(Calls(os.system, COMMAND), 0), "posix.system"),
    "instance": (lambda: stream(b"(X\x04\x00\x00\x00trueiposix\nsystem\n."), "posix.system"),
    "object": (lambda: stream(b"\x80\x02(cposix\nsystem\nX\x01\x00\x00\x00ao."), "posix.system"),
    "attribute chain": (lambda: stream(b"\x80\x02cbuiltins\ngetattr\n."), "builtins.getattr"),
    "whole model": (lambda: saved(WHOLE), "a whole model"),
    "second pickle": (lambda: pickle.dumps({}, 2) + b"\x80\x02" + RUN, "posix.system"),
    "extension": (lambda: stream(b"\x80\x02\x82\x07."), "copyreg.extension 7"),
    "class patch": (lambda: stream(b"\x80\x02cargparse\nNamespace\n}b."), "did not make"),
    "list patch": (lambda: stream(b"\x80\x02csys\npath\nX\x01\x00\x00\x00aa."), "sys.path"),
    # names that are hidden or made up
    "hidden by pop": (names_hidden_by_pop, "posix.system"),
    "computed": (computed_name, "(computed).system"),
    "two data.pkl": (two_members, "posix.system"),
    "another data.pkl": (other_folder, "posix.system"),
    "two plain data.pkl": (
        lambda: torch_zip(("a/data.pkl", b"\x80\x02}."), ("a/data.pkl", b"\x80\x02}.")),
        "several members",
    ),
    "before the damage": (lambda: stream(b"\x80\x02cposix\nsystem\n\xff"), "posix.system"),
    "beyond ASCII": (lambda: stream(b"\x80\x02c\xc3\xa9\nx\n0cposix\nsystem\n."), "posix.system"),
    "terminal codes": (lambda: stream(b"\x80\x02cos\x1b[31m\nsystem\x07\n."), "os?[31m.system?"),
    "script with a command": (lambda: torchscript(b"\x80\x02" + RUN), "posix.system"),
    # memory
    "bytes from nothing": (lambda: stream(b"\x80\x02" + BYTES + number(2**33) + b"\x85R."),
                           "8589934592 bytes"),
    "many bytes from nothing": (
        lambda: stream(b"\x80\x02(" + (BYTES + number(2**22) + b"\x85R") * 500 + b"l."),
        "4194304 bytes",
    ),
    "nested encode": (lambda: stream(nested_encode(22)), "encodes something other"),
    "one text encoded often": (
        lambda: stream(b"\x80\x02(X" + struct.pack("<I", 40_000) + b"a" * 40_000 + b"q\x00"
                       + b"c_codecs\nencode\nq\x010"
                       + b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * 2000 + b"l."),
        "over and over",
    ),
    "expanded tensor": (lambda: saved({"w": torch.rand(1, 1, 1, 1).expand(2**22, 3, 8, 8)}),
                        "claim 3221225472 bytes"),
    "impossible shape": (lambda: one_tensor(4, [-1], [1]), "impossible shape"),
    "beyond its storage": (lambda: one_tensor(4, [4], [1], offset=1), "beyond its numbers"),
    "long strides": (lambda: one_tensor(4, [2], [2**60]), "beyond its numbers"),
    "many dimensions": (lambda: one_tensor(4, [1] * 64, [1] * 64), "impossible shape"),
    "storage that is not there": (lambda: stream(b"\x80\x02}X\x01\x00\x00\x00w" + TENSOR + b"("
                                  + storage(4) + b"K\x00)))tRs."), "lacks some"),
    "packed zip": (compressed, "compressed zip"),
    "zip larger than itself": (overlapping, "compressed zip"),
    "frame that lies": (lambda: stream(b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"a."),
                        "damaged"),
    "huge number": (lambda: stream(b"\x80\x02\x8b" + struct.pack("<I", 2**16) + b"\x7f" * 2**16
                                   + b"."), "hundreds of digits"),
    # time and depth
    "tuple in tuple": (lambda: deep(b"\x85", 300_000), "deep"),
    "list in list": (lambda: deep(b"]2a", 100_000), "itself"),
    "marks": (lambda: stream(b"\x80\x02" + b"(" * 300_000 + b"."), "damaged"),
    "doubled tuples": (doubled, "neither text nor numbers"),
    "long name": (lambda: saved({"module." * 200_000 + "w": torch.ones(1)}), "1400001 characters"),
    "long name in safetensors": (long_name, "1400001 characters"),
    "safetensors that claims": (lambda: safetensors({"w": {"dtype": "F32", "shape": [10**6, 10**6],
                                "data_offsets": [0, 4 * 10**12]}}), "cannot be read"),
    "safetensors nested": (lambda: safetensors(b'{"a":' * 50_000), "cannot be read"),
    "reference outside": (lambda: stream(b"\x80\x02X\x05\x00\x00\x00/etc/Q."), "not a state dict"),
    # other kinds of files
    "TorchScript": (torchscript, "TorchScript"),
    "ONNX": (lambda: ONNX, "ONNX"),
    "Keras": (lambda: torch_zip(("config.json", b"{}"), ("model.weights.h5", b"")), "Keras"),
    "HDF5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(100), "HDF5"),
    "object array": (lambda: npy(np.array([Calls(os.system, COMMAND)], object)), "array of numpy"),
    "arrays": (npz, "numpy arrays"),
    "Git LFS": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
    "web page": (lambda: b"<!DOCTYPE html><html>", "web page"),
    "gzip": (lambda: b"\x1f\x8b\x08" + bytes(50), "gzip"),
    "GGUF": (lambda: b"GGUF\x03" + bytes(50), "GGUF"),
}  # fmt: skip


def peak(who):
    return resource.getrusage(who).ru_maxrss // 1024  # MiB on Linux


@pytest.mark.parametrize("name", TABLE)
def test_each_is_refused_by_name_with_bounded_means(tmp_path, name):
    make, words = TABLE[name]
    path = tmp_path / "hostile.pt"
    path.write_bytes(make())
    before, began = peak(resource.RUSAGE_SELF), time.process_time()
    with pytest.raises(AnomechError) as caught:
        read_weights(path)
    message = str(caught.value)
    assert words in message, message
    assert len(message) < 800
    assert message.isprintable()
    assert ";" in message
    assert peak(resource.RUSAGE_SELF) - before < MEMORY
    assert time.process_time() - began < 5
    assert not MARKER.exists()
    if isinstance(caught.value, UnsafeCheckpoint):
        assert caught.value.globals


def test_the_table_would_notice():
    """The files are true threats: what they ask for happens when Python loads them."""
    make, _ = TABLE["bare pickle"]
    try:
        pickle.loads(make())
        assert MARKER.exists()
    finally:
        MARKER.unlink(missing_ok=True)


def test_the_helpers_stayed_small():
    """The largest of all helper processes so far."""
    assert peak(resource.RUSAGE_CHILDREN) < 1024


def test_instructions_are_counted():
    with pytest.raises(Refused, match="instructions"):
        Machine(steps=1000).run(io.BytesIO(b"\x80\x02" + b"N0" * 600 + b"N."))


def test_limits_hold_in_the_process_that_reads(tmp_path, monkeypatch):
    """A bug in the reader itself would meet the limits that it gave itself."""
    path = tmp_path / "a.pt"
    path.write_bytes(stream(b"\x80\x02(" + b"]" * 1_000_000 + b"l."))
    monkeypatch.setattr(sandbox, "MEMORY", 2**27)
    with pytest.raises(ModelError, match="takes more than 128 MiB"):
        read_weights(path)
    monkeypatch.setattr(sandbox, "MEMORY", 2**31)
    monkeypatch.setattr(sandbox, "SECONDS", 0.1)
    monkeypatch.setattr(sandbox, "_START", "import time; time.sleep(60)")
    with pytest.raises(ModelError, match="seconds to look through"):
        read_weights(path)
    monkeypatch.setattr(sandbox, "SECONDS", 60)
    monkeypatch.setattr(sandbox, "_START", "import os; os.abort()")
    with pytest.raises(ModelError, match="made the process that reads it stop"):
        read_weights(path)


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, kind):
    path = tmp_path / "a.pt"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(ModelError, match="is not a file"):
        read_weights(path)


def test_there_are_more_than_forty():
    assert len(TABLE) > 50
