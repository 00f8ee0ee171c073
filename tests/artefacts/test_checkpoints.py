"""Weights come out of every common layout, and hostile files run nothing."""

import io
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anomech.architectures.digits import DigitsNet
from anomech.artefacts.checkpoints import read_weights
from anomech.artefacts.fitting import apply_state
from anomech.artefacts.inert.machine import Machine
from anomech.kernel.errors import ModelError, UnsafeCheckpoint


def network(seed=0):
    generator = torch.Generator().manual_seed(seed)
    model = DigitsNet()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


STATE = network().state_dict()


def same(found):
    return found.keys() == STATE.keys() and all(torch.equal(found[k], STATE[k]) for k in STATE)


class Runs:
    """Its pickle calls a function when it is loaded."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def evil(marker):
    import os

    return Runs(os.system, f"touch {marker}")


def evil_exec(marker):
    return Runs(exec, f"open({str(marker)!r}, 'w').close()")


def load_state(path):
    return read_weights(path).state


def refused(path, *words, kind=ModelError):
    with pytest.raises(kind) as caught:
        load_state(path)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert "\n" not in message
    assert ";" in message
    return caught.value


@pytest.mark.parametrize("wrap", [None, "state_dict", "model", "net", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("zipped", [True, False])
def test_layouts_of_torch_save(tmp_path, wrap, prefix, zipped):
    state = {prefix + name: tensor for name, tensor in STATE.items()}
    saved = state if wrap is None else {"epoch": 3, wrap: state, "optimizer": {"lr": 0.1}}
    torch.save(saved, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    assert same(load_state(tmp_path / "a.pt"))


def test_safetensors_and_nesting(tmp_path):
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(load_state(tmp_path / "a.safetensors"))
    save_file(STATE, tmp_path / "b.bin")  # known by what it holds
    assert same(load_state(str(tmp_path / "b.bin")))
    torch.save({"model": {"state_dict": STATE}}, tmp_path / "c.pt")
    assert same(load_state(tmp_path / "c.pt"))


def test_one_prefix_that_not_all_share_stays(tmp_path):
    torch.save({"module.a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "a.pt")
    assert set(load_state(tmp_path / "a.pt")) == {"module.a", "b"}


def test_parameters_come_without_gradients(tmp_path):
    torch.save(dict(network().named_parameters()), tmp_path / "a.pt")
    found = load_state(tmp_path / "a.pt")
    assert same(found)
    assert not any(tensor.requires_grad for tensor in found.values())


@pytest.mark.parametrize(("make", "name"), [(evil, "system"), (evil_exec, "builtins.exec")])
@pytest.mark.parametrize("form", ["zip", "legacy", "plain", "plain4", "plain0"])
def test_malicious_files_run_nothing_and_are_named(tmp_path, make, name, form):
    marker, path = tmp_path / "ran", tmp_path / "a.pt"
    content = {"state_dict": STATE, "extra": make(marker)}
    if form in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    else:
        protocol = {"plain": 2, "plain4": 4, "plain0": 0}[form]
        path.write_bytes(pickle.dumps(make(marker), protocol=protocol))
    error = refused(path, name, "nothing in it was executed", kind=UnsafeCheckpoint)
    assert any(found.endswith(name) for found in error.globals)
    assert not marker.exists()
    if form == "legacy":  # the file is a true threat, and the test would see it
        torch.load(path, weights_only=False)
        assert marker.exists()


def test_whole_pickled_models_are_refused(tmp_path):
    torch.save(nn.Sequential(nn.Linear(2, 2)), tmp_path / "a.pt")
    error = refused(tmp_path / "a.pt", "state_dict()", kind=UnsafeCheckpoint)
    assert "torch.nn.modules.linear.Linear" in error.globals


def test_names_cannot_write_to_the_terminal(tmp_path):
    (tmp_path / "a.pt").write_bytes(b"\x80\x02cos\x1b[31m\nsystem\x07\n)R.")
    error = refused(tmp_path / "a.pt", kind=UnsafeCheckpoint)
    assert error.globals == ("os?[31m.system?",)
    assert "\x1b" not in str(error)


def test_names_behind_the_memo_are_found():
    # protocol 4: the strings are memoized, fetched again and then joined to a name
    stream = b"\x80\x04\x8c\x05posix\x94\x8c\x06system\x940(h\x00h\x01\x93."
    machine = Machine()
    machine.run(io.BytesIO(stream))
    assert [*machine.names] == ["posix.system"]


def test_missing_empty_and_damaged_files(tmp_path):
    path = tmp_path / "a.pt"
    refused(path, "does not exist")
    refused(tmp_path, "is not a file")
    path.touch()
    refused(path, "empty")
    for content in (b"hello", b"PK\x03\x04 broken", b"\x80\x02.", bytes(200), b"\x80"):
        path.write_bytes(content)
        refused(path)
    torch.save(STATE, path)
    whole = path.read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 30):
        path.write_bytes(whole[:size])
        refused(path)
    torch.save(STATE, path, _use_new_zipfile_serialization=False)
    path.write_bytes(path.read_bytes()[:-100])
    refused(path)


def test_files_without_weights(tmp_path):
    path = tmp_path / "a.pt"
    for content in ({"epoch": 3, "lr": 0.1}, [1, 2], {}, torch.ones(3), {3: torch.ones(2)}):
        torch.save(content, path)
        refused(path, "torch.save(model.state_dict(), path)")


def test_safetensors_headers_that_lie(tmp_path):
    path = tmp_path / "a.safetensors"
    claim = b'{"w":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'
    for head in (struct.pack("<Q", len(claim)) + claim, struct.pack("<Q", 2**40) + b"{}", b"{"):
        path.write_bytes(head)
        refused(path, "cannot be read")


def repack(path, compression, change=lambda name, data: data):
    with zipfile.ZipFile(path) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members:
            archive.writestr(name, change(name, data))


def test_zip_bombs_are_refused_unread(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(10**6)}, path)
    repack(path, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 20_000
    refused(path, "compressed zip", "4000")


def test_tensors_larger_than_the_file_are_refused(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.zeros(1).expand(10**15)}, path)  # one number, seen over and over
    refused(path, f"claim {4 * 10**15} bytes")
    torch.save({"w": torch.empty(10**12, device="meta")}, path)
    refused(path)
    torch.save({"w": torch.eye(3).to_sparse()}, path)
    refused(path, "dense")
    tied = torch.randn(1000)
    torch.save({"a": tied, "b": tied}, path)
    assert set(load_state(path)) == {"a", "b"}


def test_storages_cannot_claim_more_than_the_file_has(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"w": torch.arange(4.0)}, path)

    def claim(name, data):  # both the storage and the tensor are said to hold 2**20 numbers
        many = b"J\x00\x00\x10\x00"
        data = data.replace(b"K\x04tq\x05Q", many + b"tq\x05Q") if name.endswith(".pkl") else data
        return data.replace(b"K\x00K\x04\x85", b"K\x00" + many + b"\x85")

    repack(path, zipfile.ZIP_STORED, claim)
    refused(path, "claim 4194304 bytes")
    torch.save({"w": torch.arange(8.0), "padding": torch.zeros(2**20)}, path)
    repack(
        path,
        zipfile.ZIP_STORED,
        lambda name, data: data.replace(b"K\x00K\x08\x85", b"K\x07K\x08\x85"),
    )
    refused(path, "reaches beyond its numbers")


def test_torchscript_is_not_run(tmp_path):
    path = tmp_path / "a.pt"
    torch.save(STATE, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/constants.pkl", b"\x80\x02).")  # what tells the two kinds apart
    refused(path, "TorchScript", "not run")


@pytest.mark.parametrize("zipped", [True, False])
def test_damage_anywhere_is_one_sentence_or_harmless(tmp_path, zipped):
    path = tmp_path / "a.pt"
    torch.save({"net": {"w": torch.ones(2)}}, path, _use_new_zipfile_serialization=zipped)
    whole, messages = path.read_bytes(), []
    generator = np.random.default_rng(0)
    for _ in range(12):  # many more in tests/fuzz, without a process each
        bent = bytearray(whole)
        for place in generator.integers(0, len(whole), 40):
            bent[place] = generator.integers(256)
        path.write_bytes(bent)
        try:
            load_state(path)
        except ModelError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


def test_apply_copies_the_weights():
    model = network(1)
    apply_state(model, STATE)
    assert same(model.state_dict())


def test_apply_tolerates_missing_counters():
    model, state = nn.BatchNorm1d(3), nn.BatchNorm1d(3).state_dict()
    del state["num_batches_tracked"]
    apply_state(model, state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("linear.bias"), "1 tensors of the model are missing"),
        (lambda s: s.clear(), "8 tensors of the model are missing.* and 5 more"),
        (lambda s: s.update(more=torch.ones(1)), "not in the model .more"),
        (lambda s: s.update({"linear.bias": torch.ones(3)}), r"linear.bias is \[3\].*\[10\]"),
        (lambda s: s.update({"linear.bias": torch.ones(10).int()}), "torch.int32"),
        (lambda s: s.update({"linear.bias": torch.full((10,), torch.nan)}), "NaN"),
        (lambda s: s.update({"linear.bias": torch.full((10,), torch.inf)}), "infinite"),
    ],
)
def test_apply_refuses_what_does_not_fit(change, words):
    state, model = dict(STATE), network(1)
    change(state)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(ModelError, match=words):
        apply_state(model, state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_apply_refuses_lazy_layers():
    with pytest.raises(ModelError, match="lazy"):
        apply_state(nn.LazyLinear(3), {})
