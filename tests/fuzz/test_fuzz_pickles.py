"""No bytes make the reader of strangers' files fail otherwise than by saying what is wrong."""

import io
import pickle
import pickletools
from contextlib import suppress

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anomech.artefacts.inert.child import read
from anomech.artefacts.inert.machine import Machine
from anomech.artefacts.inert.nodes import Damaged, Refused

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def saved(value, zipped):
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=zipped)
    return stream.getvalue()


STATE = {"net": {"w": torch.ones(2), "b": torch.zeros(3, 1).half()}, "epoch": 3, "name": "é"}
WHOLE = {True: saved(STATE, True), False: saved(STATE, False)}

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=4)
    | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(-(2**40), 2**40), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def answered(data):
    """What the reader says; it must be one of its three kinds of answer."""
    reply = read(io.BytesIO(data), len(data))
    assert len({"rows", "refused", "damaged", "unsafe"} & reply.keys()) == 1
    for number, row in enumerate(reply.get("rows", ())):
        inside = row[1] if row[0] in "lud" else row[-1:] if row[0] == "a" else ()
        assert all(0 <= each < number for each in inside)  # so that whoever reads needs one pass
    return reply


@pytest.mark.parametrize("zipped", [True, False])
@BOUNDED
@given(st.data())
def test_bent_files(zipped, data):
    bent = bytearray(WHOLE[zipped])
    for place in data.draw(st.lists(st.integers(0, len(bent) - 1), max_size=6)):
        bent[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(bent)))
    answered(bytes(bent[:cut]) if data.draw(st.booleans()) else bytes(bent))


OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]
pieces = st.sampled_from(OPCODES) | st.sampled_from(
    [
        b"cos\nsystem\n",
        b"\x8c\x05posix",
        b"\x8c\x06system",
        b"h\x00",
        b"q\x00",
        b"K\x01",
        b"(",
        b"2",
    ]
)


@BOUNDED
@given(st.lists(pieces, max_size=30))
def test_instructions_in_any_order(stream):
    answered(b"\x80\x04" + b"".join(stream) + b".")


@BOUNDED
@given(plain, st.integers(0, 5))
def test_every_pickle_of_plain_values_is_followed(value, protocol):
    machine = Machine()
    machine.run(io.BytesIO(pickle.dumps(value, protocol)))
    assert machine.names.keys() <= {"_codecs.encode", "builtins.bytes"}


class Imports(pickle.Unpickler):
    """The true machine of Python; it tells what it would import and imports nothing."""

    def __init__(self, file):
        super().__init__(file)
        self.names = []

    def find_class(self, module, name):
        self.names.append(f"{module}.{name}")
        return Anything


class Anything:
    """Stands for whatever was imported; may be called, filled and restored."""

    def __new__(cls, *arguments):
        return object.__new__(cls)

    def __setstate__(self, state):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        pass

    def add(self, item):
        pass

    def __setitem__(self, key, value):
        pass


@settings(BOUNDED, max_examples=400)
@given(st.lists(pieces, max_size=25))
def test_names_are_those_that_python_would_import(stream):
    data = b"\x80\x04" + b"".join(stream) + b"."
    true, machine = Imports(io.BytesIO(data)), Machine()
    try:
        true.load()
        whole = True
    except Exception:
        whole = False
    with suppress(Damaged, Refused):
        machine.run(io.BytesIO(data))
    assert set(true.names) <= {*machine.names}  # none is hidden
    if whole:
        assert {*machine.names} == set(true.names)  # and none made up
