"""Any damage to a file of a model's folder is looked at with bounded means, and said or passed."""

import gzip
import io
import json
import pickle
import struct
import tarfile
import time
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from anomech.artefacts.files.looking import look_through
from anomech.kernel.types import silent

QUICK = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SECONDS = 5


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", '{"a": 1}')
        archive.writestr("b.txt", "words " * 50)
    return stream.getvalue()


def tarred():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("a.txt", "long/" * 40 + "b.txt"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
    return stream.getvalue()


def array():
    stream = io.BytesIO()
    np.save(stream, np.ones(4))
    return stream.getvalue()


CONFIG = {"auto_map": {"A": "b.C"}, "hidden_size": 3, "x": [1, {"y": "z"}]}
RULE = {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}
TOKENIZER = {
    "normalizer": {"type": "Sequence", "normalizers": [RULE]},
    "added_tokens": [{"content": "<s>"}],
    "model": {"vocab": {"a": 0}},
}
TEMPLATE = b"tokenizer.chat_template" + struct.pack("<IQ", 8, 9) + b"{{ a.b }}"
FILES = {
    "a.safetensors": save({"w": torch.ones(3, 2), "b": torch.ones(3)}),
    "a.zip": zipped(),
    "a.tar": tarred(),
    "a.npy": array(),
    "a.txt.gz": gzip.compress(b"words " * 20),
    "config.json": json.dumps(CONFIG).encode(),
    "tokenizer.json": json.dumps(TOKENIZER).encode(),
    "model.safetensors.index.json": json.dumps({"weight_map": {"w": "a.safetensors"}}).encode(),
    "m.onnx": b"\x08\x07\x12\x07pytorch\x0a\x08location\x12\x03a.b" + bytes(30),
    "m.gguf": b"GGUF\x03\0\0\0" + TEMPLATE,
    "w.pkl": pickle.dumps({"a": [1, 2]}),
    "a.py": b"import os\n\ndef f(x):\n    return os.path.join(x)\n",
    "model.sig": json.dumps({"dsseEnvelope": {"payload": "e30="}}).encode(),
}  # fmt: skip


def check(folder, name, data):
    """It is looked at in time, and every word about it can be shown."""
    for left in folder.iterdir():
        left.unlink()
    (folder / name).write_bytes(data)
    began = time.process_time()
    looked = look_through(folder, silent)
    assert time.process_time() - began < SECONDS
    (file,) = looked.files
    assert len(file.sha256) == 64
    for each in looked.issues:
        assert (each.title + each.detail + each.action + each.where).isprintable(), each
        assert len(each.detail) < 1000
        assert each.where.startswith(name)


@given(st.sampled_from(sorted(FILES)), st.data())
@QUICK
def test_any_damaged_file(tmp_path, name, data):
    whole = FILES[name]
    place = data.draw(st.integers(0, len(whole)))
    kind = data.draw(st.sampled_from(["cut", "flip", "put", "zeros", "twice"]))
    some = data.draw(st.binary(min_size=1, max_size=12))
    made = {
        "cut": whole[:place],
        "flip": whole[:place] + some + whole[place + len(some) :],
        "put": whole[:place] + some + whole[place:],
        "zeros": whole[:place] + bytes(64) + whole[place + 64 :],
        "twice": whole + whole[place:],
    }[kind]
    check(tmp_path, name, made)


@given(st.sampled_from(sorted(FILES)), st.binary(max_size=300))
@QUICK
def test_any_bytes_under_any_name(tmp_path, name, data):
    check(tmp_path, name, data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ("auto_map", "model", "vocab", "weight_map", "normalizer", "normalizers", "type",
             "pattern", "content", "added_tokens", "chat_template", "vocab_size", "_target_",
             "hidden_size",
             "text_config", "num_hidden_layers", "dsseEnvelope", "payload", "__metadata__", "w",
             "dtype", "shape", "data_offsets")
        ),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from([n for n in sorted(FILES) if n.endswith((".json", ".sig"))]), VALUES)
@QUICK
def test_any_settings(tmp_path, name, value):
    check(tmp_path, name, json.dumps(value).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer.json", {"added_tokens": True}),
        ("tokenizer.json", {"normalizer": {"normalizers": 3}}),
        ("model.safetensors.index.json", {"weight_map": {"a": ["b"], "c": {}}}),
    ],
)
def test_settings_of_the_wrong_kind(tmp_path, name, value):
    check(tmp_path, name, json.dumps(value).encode())


@given(VALUES, st.binary(max_size=40))
@QUICK
def test_any_header_of_safetensors(tmp_path, value, data):
    header = json.dumps(value).encode()
    check(tmp_path, "a.safetensors", struct.pack("<Q", len(header)) + header + data)


SLOW = {
    "a.json": b'{"chat_template": "' + b"{{ a | " * 200_000 + b'"}',
    "a.py": b"os." * 600_000,
    "requirements.txt": b"\n" * 1_000_000 + b" " * 1_000_000,
    "a.xml": b"<!DOCTYPE " * 150_000,
    "a.yaml": b"\n _target_ " * 150_000,
    "a.jinja": b"__a" * 600_000,
    "chat_template.jinja": b"_" * 1_999_999 + b"!",
    "a.svg": b"<svg " + b"onload " * 200_000,
    "m.h5": b"\x89HDF\r\n\x1a\n" + b'"module": ' * 200_000,
    "m.onnx": b"\x08\x07\x12\x07pytorch" + b"\x0a\x08location\x12\x02ab" * 100_000,
}


def test_no_pattern_can_be_kept_busy(tmp_path):
    for name, data in SLOW.items():
        check(tmp_path, name, data)
