"""None of the files in `tests.support.hostile_folders` runs, and each is named.

Single pickles have a table of their own, `test_malicious_files.py`.
"""

import bz2
import gzip
import hashlib
import pickle
import resource
import time

import numpy as np
import pytest
import torch

from anomech.artefacts.files import checks, looking, opinions
from anomech.artefacts.files.archives import Allowance
from anomech.artefacts.files.looking import look_through
from anomech.artefacts.files.rules import RULES
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from tests.support.hostile_folders import (
    EVIL,
    MARKER,
    PLAIN,
    TABLE,
    said,
    signed,
    tensors,
    tokenizer,
    zipped,
)

MEMORY = 700  # MiB that looking may add here
SECONDS = 6


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
