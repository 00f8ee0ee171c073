"""A pickle machine that follows every instruction and carries none out.

Pickle has no jumps: one walk over the instructions sees exactly what a real machine would do, in
the same order and on the same stack. So the names it meets are those that loading would import,
each of them and no other, whatever is popped, duplicated or fetched from the memo. Memory and time
grow with the number of instructions, because a call only becomes a node.
"""

import codecs
import pickletools
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import Any, BinaryIO

MAX_STEPS = 2**22
"""Instructions that are followed in one file; a network of a thousand tensors has some 40,000."""

MAX_BITS = 256
"""Size of whole numbers; the largest that `torch.save` writes has 77 bits."""

COMPUTED = "(computed)"
"""Stands for a part of a name that is no text in the file but the result of a call."""


class Refused(Exception):
    """A file asks for something that is not done.

    Attributes:
        what: completes "The file ...".
        remedy: what to do; empty if there is nothing special to do.
    """

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.remedy = remedy


class Damaged(Exception):
    """Instructions that no pickler writes."""


NONE: list[Any] = []
"""What nodes without elements share; it is never added to."""


class Node:
    """A value that a pickle would make.

    Attributes:
        kind: "value", "huge" (a number that is too large), "bytes", "list", "tuple", "set", "dict",
            "global", "call" or "stored" (what lies elsewhere in the file, by its persistent id).
        value: the plain value, the bytes, or the name of a global.
        parts: elements; of a call its function, its arguments as a tuple, and its keywords.
        items: elements that are appended to the result of a call.
        pairs: keys and values in turn, of a dictionary or of what a call gives.
        states: what a call's result is told to restore itself from.
    """

    __slots__ = ("items", "kind", "pairs", "parts", "states", "value")

    def __init__(self, kind: str, value: Any = None, parts: "list[Node] | None" = None) -> None:
        self.kind = kind
        self.value = value
        # Most values have none of the others, and a list for each would double their size.
        self.parts: list[Node] = NONE if parts is None else parts
        self.items: list[Node] = NONE
        self.pairs: list[Node] = NONE
        self.states: list[Node] = NONE


class Machine:
    """Follows pickles one after the other.

    Attributes:
        names: globals that were met, in order.
        left: instructions that may still be followed.
    """

    def __init__(self, steps: int = MAX_STEPS) -> None:
        self.names: dict[str, None] = {}
        self.left = steps
        self._reset()

    def _reset(self) -> None:
        self.stack: list[Node] = []
        self.outer: list[list[Node]] = []
        self.memo: dict[int, Node] = {}
        self.protocol = 0

    def run(self, stream: BinaryIO) -> Node:
        """Follow one pickle to its end; the stream is left behind it.

        Raises:
            Damaged: an instruction that is unknown, cut off or finds nothing to work on.
            Refused: more instructions than are followed.
        """
        self._reset()
        try:
            while code := stream.read(1):
                self.left -= 1
                if self.left < 0:
                    raise Refused(f"has more than {MAX_STEPS} instructions")
                name, read = READERS[code]
                if name == "STOP":
                    return self.stack.pop()
                argument = read(stream) if read is not None else None
                if name in LITERALS:
                    self.stack.append(_literal_node(argument))
                else:
                    STEPS[name](self, argument)
        except (IndexError, KeyError, ValueError, OverflowError):
            raise Damaged("is damaged") from None
        raise Damaged("ends early")

    def push(self, kind: str, value: Any = None, parts: list[Node] | None = None) -> None:
        """Put a new node on the stack."""
        self.stack.append(Node(kind, value, parts))

    def since_mark(self) -> list[Node]:
        """What was put on the stack since the last mark, taken off it."""
        found, self.stack = self.stack, self.outer.pop()
        return found

    def name(self, module: str, name: str) -> None:
        """Push a global."""
        if self.protocol < 3:  # as Python does for what its second version wrote
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[module, name]
            else:
                module = IMPORT_MAPPING.get(module, module)
        full = f"{module}.{name}"
        self.names[full] = None
        self.push("global", full)

    def call(self, parts: list[Node]) -> None:
        """Push a call that is not made."""
        self.push("call", None, parts)


Step = Callable[[Machine, Any], None]

LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    }
)


def _literal_node(argument: Any) -> Node:
    if isinstance(argument, int) and argument.bit_length() > MAX_BITS:
        return Node("huge")
    return Node("value", argument)


def _lines(count: int) -> Callable[[Any], str]:
    def read(stream: Any) -> str:
        lines = [stream.readline() for _ in range(count)]
        if not all(line.endswith(b"\n") for line in lines):
            raise Damaged("ends early")
        return "\n".join(line[:-1].decode("utf-8") for line in lines)

    return read


def _quoted(stream: Any) -> str:
    line = stream.readline().rstrip()
    if len(line) < 2 or line[:1] not in (b"'", b'"') or line[:1] != line[-1:]:
        raise Damaged("is damaged")
    return codecs.escape_decode(line[1:-1])[0].decode("latin-1")  # type: ignore[attr-defined]


READERS: dict[bytes, tuple[str, Callable[[Any], Any] | None]] = {
    opcode.code.encode("latin-1"): (opcode.name, opcode.arg.reader if opcode.arg else None)
    for opcode in pickletools.opcodes
}
"""Name and reader of the argument by the byte that begins an instruction."""

# The library's readers of these stop at characters beyond ASCII, where Python goes on.
READERS |= {b"c": ("GLOBAL", _lines(2)), b"i": ("INST", _lines(2)), b"S": ("STRING", _quoted)}


def _literal(value: Any) -> Step:
    return lambda m, _: m.push("value", value)


def _empty(kind: str) -> Step:
    return lambda m, _: m.push(kind)


def _bytes(m: Machine, argument: Any) -> None:
    data = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
    m.push("bytes", data)


def _text(m: Machine, argument: Any) -> None:
    m.push("value", argument)  # texts of Python 2: plain characters are text, as torch reads them


def _tuple_of(count: int) -> Step:
    def step(m: Machine, _: Any) -> None:
        if len(m.stack) < count:
            raise Damaged("is damaged")
        parts = m.stack[len(m.stack) - count :]
        del m.stack[len(m.stack) - count :]
        m.push("tuple", None, parts)

    return step


def _marked(kind: str) -> Step:
    return lambda m, _: m.push(kind, None, m.since_mark())


def _marked_dict(m: Machine, _: Any) -> None:
    pairs = m.since_mark()
    m.push("dict")
    _add_pairs(m.stack[-1], pairs)


def _more(known: list[Node], new: list[Node]) -> list[Node]:
    if known is NONE:
        return new
    known += new
    return known


# What a name or a call stands for is not known, so it may take elements, entries and states as any
# object may; the walk must not end before a true machine's would.
ANYTHING = ("call", "global", "stored", "bytes")


def _add_pairs(target: Node, pairs: list[Node]) -> None:
    if target.kind not in ("dict", "list", *ANYTHING) or len(pairs) % 2:
        raise Damaged("is damaged")
    target.pairs = _more(target.pairs, pairs)


def _add_items(target: Node, items: list[Node]) -> None:
    if target.kind in ("list", "set"):
        target.parts = _more(target.parts, items)
    elif target.kind in ANYTHING:
        target.items = _more(target.items, items)
    else:
        raise Damaged("is damaged")


def _append(m: Machine, _: Any) -> None:
    item = m.stack.pop()
    _add_items(m.stack[-1], [item])


def _appends(m: Machine, _: Any) -> None:
    items = m.since_mark()
    _add_items(m.stack[-1], items)


def _set_item(m: Machine, _: Any) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    _add_pairs(m.stack[-1], [key, value])


def _set_items(m: Machine, _: Any) -> None:
    pairs = m.since_mark()
    _add_pairs(m.stack[-1], pairs)


def _mark(m: Machine, _: Any) -> None:
    m.outer.append(m.stack)
    m.stack = []


def _pop(m: Machine, _: Any) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.since_mark()


def _pop_mark(m: Machine, _: Any) -> None:
    m.since_mark()


def _dup(m: Machine, _: Any) -> None:
    m.stack.append(m.stack[-1])


def _put(m: Machine, argument: Any) -> None:
    m.memo[int(argument)] = m.stack[-1]


def _memoize(m: Machine, _: Any) -> None:
    m.memo[len(m.memo)] = m.stack[-1]


def _get(m: Machine, argument: Any) -> None:
    m.stack.append(m.memo[int(argument)])


def _protocol(m: Machine, argument: Any) -> None:
    if not 0 <= argument <= 5:
        raise Damaged("is of an unknown protocol")
    m.protocol = argument


def _global(m: Machine, argument: Any) -> None:
    module, _, name = argument.partition("\n")
    m.name(module, name)


def _stack_global(m: Machine, _: Any) -> None:
    name, module = (_name_part(m.stack.pop()) for _ in range(2))
    m.name(module, name)


def _name_part(node: Node) -> str:
    if node.kind == "value" and isinstance(node.value, str):
        return node.value
    if node.kind in ("call", "global", "stored"):
        return COMPUTED
    raise Damaged("is damaged")  # a machine stops here too: names are text


def _extension(m: Machine, argument: Any) -> None:
    m.names[f"copyreg.extension {argument}"] = None
    m.push("global", f"copyreg.extension {argument}")


def _reduce(m: Machine, _: Any) -> None:
    arguments, function = m.stack.pop(), m.stack.pop()
    m.call([function, arguments])


def _new_with_keywords(m: Machine, _: Any) -> None:
    keywords, arguments, cls = m.stack.pop(), m.stack.pop(), m.stack.pop()
    m.call([cls, arguments, keywords])


def _instance(m: Machine, argument: Any) -> None:
    arguments = m.since_mark()
    _global(m, argument)
    m.call([m.stack.pop(), Node("tuple", None, arguments)])


def _object(m: Machine, _: Any) -> None:
    cls, *arguments = m.since_mark()
    m.call([cls, Node("tuple", None, arguments)])


def _build(m: Machine, _: Any) -> None:
    state = m.stack.pop()
    m.stack[-1].states = _more(m.stack[-1].states, [state])


def _stored_by_text(m: Machine, argument: Any) -> None:
    m.push("stored", None, [Node("value", argument)])


def _stored(m: Machine, _: Any) -> None:
    m.push("stored", None, [m.stack.pop()])


def _nothing(m: Machine, _: Any) -> None:
    pass


STEPS: dict[str, Step] = {
    **{"NONE": _literal(None), "NEWTRUE": _literal(True), "NEWFALSE": _literal(False)},
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _text),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"), _bytes),
    **{"EMPTY_LIST": _empty("list"), "EMPTY_TUPLE": _empty("tuple"), "EMPTY_SET": _empty("set")},
    **{"EMPTY_DICT": _empty("dict"), "DICT": _marked_dict, "LIST": _marked("list")},
    **{"TUPLE": _marked("tuple"), "FROZENSET": _marked("set")},
    **{"TUPLE1": _tuple_of(1), "TUPLE2": _tuple_of(2), "TUPLE3": _tuple_of(3)},
    **{"APPEND": _append, "APPENDS": _appends, "ADDITEMS": _appends},
    **{"SETITEM": _set_item, "SETITEMS": _set_items},
    **{"MARK": _mark, "POP": _pop, "POP_MARK": _pop_mark, "DUP": _dup, "MEMOIZE": _memoize},
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **{"PROTO": _protocol, "FRAME": _nothing, "GLOBAL": _global, "STACK_GLOBAL": _stack_global},
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), _extension),
    **{"REDUCE": _reduce, "NEWOBJ": _reduce, "NEWOBJ_EX": _new_with_keywords},
    **{"INST": _instance, "OBJ": _object, "BUILD": _build},
    **{"PERSID": _stored_by_text, "BINPERSID": _stored},
}
"""What each instruction does to the stack; those that are not here are damage."""
