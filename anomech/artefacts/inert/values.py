"""From the nodes of a pickle to rows: what each node is made of comes first.

The walk is a loop with a list of its own, so that nesting cannot exhaust the stack.
"""

from collections.abc import Sequence

from anomech.artefacts.inert.allowed import STORAGES
from anomech.artefacts.inert.calls import understood
from anomech.artefacts.inert.nodes import Node, Refused
from anomech.artefacts.inert.rows import LARGEST, Call, Rows

MAX_DEPTH = 100
TOO_DEEP = f"holds values inside of values, more than {MAX_DEPTH} deep"

CONTAINERS = {"list": "l", "set": "l", "tuple": "u", "dict": "d"}
"""Kinds of rows by kinds of nodes; a set becomes a list, so that nothing has to be hashed."""

Done = dict[int, tuple[int, int]]
"""Row and depth by the identity of a node."""


def resolve(root: Node, rows: Rows) -> int:
    """The row of a node, after those of all that it is made of.

    Raises:
        Refused: circles, depth, or calls that would take more memory than the file has.
    """
    done: Done = {}
    under_way: set[int] = set()
    work = [root]
    while work:
        node = work[-1]
        if id(node) in done:
            work.pop()
        elif id(node) in under_way:
            work.pop()
            under_way.discard(id(node))
            depth = 1 + max((done[id(child)][1] for child in _children(node)), default=0)
            if depth > MAX_DEPTH:
                raise Refused(TOO_DEEP)
            done[id(node)] = (_made(node, rows, done), depth)
        else:
            under_way.add(id(node))
            if len(under_way) > MAX_DEPTH:
                raise Refused(TOO_DEEP)
            for child in _children(node):
                if id(child) in under_way:
                    raise Refused("holds a value that contains itself")
                if id(child) not in done:
                    work.append(child)
    return done[id(root)][0]


def _children(node: Node) -> list[Node]:
    if node.kind == "value":
        return node.parts
    return [*node.parts, *node.items, *node.pairs, *node.states]


def _made(node: Node, rows: Rows, done: Done) -> int:
    if node.kind == "call":
        return _called(node, rows, done)
    if node.states or node.items or (node.pairs and node.kind != "dict"):
        raise Refused("changes something that it did not make")
    if node.kind == "value":
        return rows.value(node.value)
    if node.kind == "bytes":
        return rows.add("b", node.value.decode("latin-1"))
    if node.kind in CONTAINERS:
        return rows.add(CONTAINERS[node.kind], _of(node.pairs or node.parts, done))
    if node.kind == "global":
        return rows.add("n", node.value)
    if node.kind == "stored":
        return _storage(rows, done[id(node.parts[0])][0])
    raise Refused("holds a number of hundreds of digits")


def _of(nodes: Sequence[Node], done: Done) -> list[int]:
    return [done[id(each)][0] for each in nodes]


def _called(node: Node, rows: Rows, done: Done) -> int:
    function, arguments = _of(node.parts[:2], done)
    if not rows.name(function) or rows.kind(arguments) != "u":
        raise Refused("calls something that has no name")
    call = Call(
        rows.name(function),
        rows.elements(arguments),
        _of(node.items, done),
        _of(node.pairs, done),
        _of(node.states, done),
    )
    return understood(rows, call)


def _storage(rows: Rows, row: int) -> int:
    """`("storage", class, key, device, count)`; in old files also a view of another storage."""
    parts = rows.elements(row)
    if len(parts) not in (5, 6) or rows.plain(parts[0]) != "storage":
        return rows.add("o", "a reference to something outside of the file")
    name, key, count = rows.name(parts[1]), rows.plain(parts[2]), rows.plain(parts[4])
    if type(count) is not int or not 0 <= count < LARGEST or not isinstance(key, str):
        raise Refused("holds a damaged storage")
    if len(parts) == 6 and rows.kind(parts[5]) != "v":
        return rows.add("o", "a storage of a kind that only early versions of torch wrote")
    dtype = STORAGES.get(name.rpartition(".")[2].removesuffix("Storage"))
    return rows.add("s", key, dtype, count)
