"""The calls that are understood: what torch and numpy write for tensors, arrays and plain classes.

Each rule takes a call apart and says which row it stands for. None of them makes what it describes.
"""

import posixpath
import struct
from collections.abc import Callable

from anomech.artefacts.inert import allowed
from anomech.artefacts.inert.nodes import Refused
from anomech.artefacts.inert.rows import Call, Rows

NUMBERS = {
    **{"b1": "?", "i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I"},
    **{"i8": "q", "u8": "Q", "f2": "e", "f4": "f", "f8": "d"},
}
"""Number types of numpy that are read, as `struct` calls them."""

Rule = Callable[[Rows, Call], int | None]


def understood(rows: Rows, call: Call) -> int:
    """The row that a call stands for; its name if it is not understood.

    Raises:
        Refused: it would take memory that the file does not hold.
    """
    rule = RULES.get(call.function)
    found = None if rule is None else rule(rows, call)
    return rows.add("o", call.function) if found is None else found


def _tensor(rows: Rows, call: Call) -> int | None:
    """`_rebuild_tensor(storage, offset, shape, strides, ...)`; version 3 ends with a type."""
    storage = call.argument(0)
    if storage is None or rows.kind(storage) != "s":
        return None
    dtype = rows.rows[storage][2]
    if call.function.endswith("_v3"):
        dtype = rows.name(call.argument(6)).removeprefix("torch.")
    if dtype not in allowed.DTYPES:
        return rows.add("o", "a tensor of a number type that is not read")
    shape, strides = rows.sides(call.argument(2)), rows.sides(call.argument(3))
    return rows.tensor(storage, dtype, rows.plain(call.argument(1)), shape, strides)


def _first(rows: Rows, call: Call) -> int | None:
    return call.argument(0)


def _typed(rows: Rows, call: Call) -> int | None:
    """`_rebuild_from_type_v2(function, type, arguments, state)`, of tensors with attributes."""
    function, arguments = rows.name(call.argument(0)), rows.elements(call.argument(2))
    if function not in allowed.REBUILDS:
        return None
    return understood(rows, Call(function, arguments, [], [], []))


def _text(rows: Rows, call: Call) -> int | None:
    return call.argument(0) if isinstance(rows.plain(call.argument(0)), str) else None


def _path(rows: Rows, call: Call) -> int | None:
    pieces = [rows.plain(each) for each in call.arguments]
    if not all(isinstance(piece, str) for piece in pieces):
        return None
    rows.spend(len(pieces) + sum(map(len, pieces)))
    return rows.value(posixpath.join("", *pieces))


def _encoded(rows: Rows, call: Call) -> int | None:
    """Bytes, as protocols before the third write them: a text and its encoding."""
    text = rows.plain(call.argument(0))
    if not isinstance(text, str) or rows.plain(call.argument(1)) not in ("latin1", "latin-1"):
        raise Refused("encodes something other than a text that stands in it")
    rows.spend(len(text))
    if any(ord(character) > 255 for character in text):
        raise Refused("encodes a text as bytes that it has not")
    return rows.add("b", text)


def _byte_array(rows: Rows, call: Call) -> int | None:
    given = call.argument(0)
    if given is None:
        return rows.add("b", "")
    if rows.kind(given) == "b":
        return given
    count = rows.plain(given)
    claimed = f"{count} bytes" if type(count) is int else "an unknown number of bytes"
    raise Refused(f"asks for {claimed} of memory that it does not fill")


def _list(rows: Rows, call: Call) -> int | None:
    given = rows.elements(call.argument(0))
    rows.spend(len(given))
    return rows.add("l", [*given, *call.items])


def _mapping(rows: Rows, call: Call) -> int | None:
    """A dictionary by another name: given, as a list of pairs, as its state, or entry by entry."""
    sources = [*call.arguments, *call.states]
    held = [row for row in sources if rows.kind(row) == "d" and rows.rows[row][1]]
    if len(held) == 1 and not call.pairs:
        return held[0]
    pairs: list[int] = []
    for row in sources:
        pairs += rows.rows[row][1] if rows.kind(row) == "d" else []
        for each in rows.elements(row):
            pairs += pair if len(pair := rows.elements(each)) == 2 else []
    rows.spend(len(pairs))
    return rows.add("d", [*pairs, *call.pairs])


def _number_type(rows: Rows, call: Call) -> int | None:
    code = rows.plain(call.argument(0))
    state = rows.elements(call.states[-1]) if call.states else []
    order = rows.plain(state[1]) if len(state) > 1 else "|"
    if not isinstance(code, str) or order not in ("<", ">", "=", "|"):
        return None
    plain = code.lstrip("<>=|")
    big = ">" in (order, code[:1])
    return rows.add("y", plain, ">" if big else "<") if plain in NUMBERS else None


def _array(rows: Rows, call: Call) -> int | None:
    """`_reconstruct(...)`, filled from `(version, shape, type, by columns, bytes)`."""
    state = rows.elements(call.states[-1]) if call.states else []
    return _filled(rows, *state[1:]) if len(state) == 5 else None


def _buffer(rows: Rows, call: Call) -> int | None:
    """`_frombuffer(bytes, type, shape, order)`."""
    if len(call.arguments) != 4:
        return None
    raw, dtype, shape, order = call.arguments
    return _filled(rows, shape, dtype, rows.value(rows.plain(order) == "F"), raw)


def _filled(rows: Rows, shape: int, dtype: int, by_columns: int, raw: int) -> int | None:
    sides = rows.sides(shape)
    if rows.kind(dtype) != "y" or rows.kind(raw) != "b" or sides is None:
        return None
    _, code, order = rows.rows[dtype]
    return rows.add("a", code, order, sides, bool(rows.plain(by_columns)), raw)


def _scalar(rows: Rows, call: Call) -> int | None:
    dtype, raw = call.argument(0), call.argument(1)
    if dtype is None or raw is None or rows.kind(dtype) != "y" or rows.kind(raw) != "b":
        return None
    _, code, order = rows.rows[dtype]
    data = rows.rows[raw][1].encode("latin-1")
    if len(data) != struct.calcsize(order + NUMBERS[code]):
        raise Refused("holds a number that is longer or shorter than its type")
    return rows.value(struct.unpack(order + NUMBERS[code], data)[0])


RULES: dict[str, Rule] = {
    **dict.fromkeys(allowed.REBUILDS, _tensor),
    **dict.fromkeys(allowed.MAPPINGS, _mapping),
    **dict.fromkeys(allowed.PATHS, _path),
    **dict.fromkeys(allowed.LISTS, _list),
    **dict.fromkeys(allowed.ARRAYS, _array),
    **dict.fromkeys(allowed.SCALARS, _scalar),
    **dict.fromkeys(allowed.BUFFERS, _buffer),
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _typed,
    "torch.Size": _first,
    "torch.device": _text,
    "numpy.dtype": _number_type,
    "_codecs.encode": _encoded,
    "builtins.bytearray": _byte_array,
    "builtins.bytes": _byte_array,
}
"""What is understood, by the name that a file calls it by."""
