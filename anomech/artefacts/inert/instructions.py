"""What each instruction of a pickle does to the stack, and none beyond.

Where Python would go on, so do these: a name that follows must not be missed. Where they stop,
Python stops too.
"""

import codecs
import pickletools
from collections.abc import Callable
from typing import Any

from anomech.artefacts.inert.nodes import NONE, Damaged, Node, Stack

MAX_BITS = 256
"""Size of whole numbers; the largest that `torch.save` writes has 77 bits."""

COMPUTED = "(computed)"
"""Stands for a part of a name that is no text in the file but the result of a call."""

Step = Callable[[Stack, Any], None]

LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    }
)


def literal(argument: Any) -> Node:
    """A number or text that stands in the pickle."""
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
    return lambda stack, _: stack.push("value", value)


def _empty(kind: str) -> Step:
    return lambda stack, _: stack.push(kind)


def _bytes(stack: Stack, argument: Any) -> None:
    data = argument.encode("latin-1") if isinstance(argument, str) else bytes(argument)
    stack.push("bytes", data)


def _text(stack: Stack, argument: Any) -> None:
    stack.push("value", argument)  # what Python 2 called text; torch reads it as text too


def _tuple_of(count: int) -> Step:
    def step(stack: Stack, _: Any) -> None:
        if len(stack.nodes) < count:
            raise Damaged("is damaged")
        parts = stack.nodes[len(stack.nodes) - count :]
        del stack.nodes[len(stack.nodes) - count :]
        stack.push("tuple", None, parts)

    return step


def _marked(kind: str) -> Step:
    return lambda stack, _: stack.push(kind, None, stack.since_mark())


def _marked_dict(stack: Stack, _: Any) -> None:
    pairs = stack.since_mark()
    stack.push("dict")
    _add_pairs(stack.nodes[-1], pairs)


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


def _append(stack: Stack, _: Any) -> None:
    item = stack.nodes.pop()
    _add_items(stack.nodes[-1], [item])


def _appends(stack: Stack, _: Any) -> None:
    items = stack.since_mark()
    _add_items(stack.nodes[-1], items)


def _set_item(stack: Stack, _: Any) -> None:
    value, key = stack.nodes.pop(), stack.nodes.pop()
    _add_pairs(stack.nodes[-1], [key, value])


def _set_items(stack: Stack, _: Any) -> None:
    pairs = stack.since_mark()
    _add_pairs(stack.nodes[-1], pairs)


def _mark(stack: Stack, _: Any) -> None:
    stack.outer.append(stack.nodes)
    stack.nodes = []


def _pop(stack: Stack, _: Any) -> None:
    if stack.nodes:
        stack.nodes.pop()
    else:
        stack.since_mark()


def _pop_mark(stack: Stack, _: Any) -> None:
    stack.since_mark()


def _dup(stack: Stack, _: Any) -> None:
    stack.nodes.append(stack.nodes[-1])


def _put(stack: Stack, argument: Any) -> None:
    stack.memo[int(argument)] = stack.nodes[-1]


def _memoize(stack: Stack, _: Any) -> None:
    stack.memo[len(stack.memo)] = stack.nodes[-1]


def _get(stack: Stack, argument: Any) -> None:
    stack.nodes.append(stack.memo[int(argument)])


def _protocol(stack: Stack, argument: Any) -> None:
    if not 0 <= argument <= 5:
        raise Damaged("is of an unknown protocol")
    stack.protocol = argument


def _global(stack: Stack, argument: Any) -> None:
    module, _, name = argument.partition("\n")
    stack.name(module, name)


def _stack_global(stack: Stack, _: Any) -> None:
    name, module = (_name_part(stack.nodes.pop()) for _ in range(2))
    stack.name(module, name)


def _name_part(node: Node) -> str:
    if node.kind == "value" and isinstance(node.value, str):
        return node.value
    if node.kind in ("call", "global", "stored"):
        return COMPUTED
    raise Damaged("is damaged")  # a machine stops here too: names are text


def _extension(stack: Stack, argument: Any) -> None:
    stack.names[f"copyreg.extension {argument}"] = None
    stack.push("global", f"copyreg.extension {argument}")


def _reduce(stack: Stack, _: Any) -> None:
    arguments, function = stack.nodes.pop(), stack.nodes.pop()
    stack.push("call", None, [function, arguments])


def _new_with_keywords(stack: Stack, _: Any) -> None:
    keywords, arguments, cls = stack.nodes.pop(), stack.nodes.pop(), stack.nodes.pop()
    stack.push("call", None, [cls, arguments, keywords])


def _instance(stack: Stack, argument: Any) -> None:
    arguments = stack.since_mark()
    _global(stack, argument)
    stack.push("call", None, [stack.nodes.pop(), Node("tuple", None, arguments)])


def _object(stack: Stack, _: Any) -> None:
    cls, *arguments = stack.since_mark()
    stack.push("call", None, [cls, Node("tuple", None, arguments)])


def _build(stack: Stack, _: Any) -> None:
    state = stack.nodes.pop()
    stack.nodes[-1].states = _more(stack.nodes[-1].states, [state])


def _stored_by_text(stack: Stack, argument: Any) -> None:
    stack.push("stored", None, [Node("value", argument)])


def _stored(stack: Stack, _: Any) -> None:
    stack.push("stored", None, [stack.nodes.pop()])


def _nothing(stack: Stack, _: Any) -> None:
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
