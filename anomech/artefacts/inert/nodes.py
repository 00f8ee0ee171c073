"""Values that a pickle would make, as nodes; the stack on which they are put together.

A node is never what it stands for: a call is its function's name and its arguments.
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from typing import Any


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


class Stack:
    """What a pickle machine works on.

    Attributes:
        nodes: since the last mark.
        outer: those before it, a list for each mark.
        memo: nodes that were put aside, by number.
        protocol: version of the pickle.
        names: globals that were met, in order.
    """

    def __init__(self, names: dict[str, None]) -> None:
        self.nodes: list[Node] = []
        self.outer: list[list[Node]] = []
        self.memo: dict[int, Node] = {}
        self.protocol = 0
        self.names = names

    def push(self, kind: str, value: Any = None, parts: list[Node] | None = None) -> None:
        """Put a new node on the stack."""
        self.nodes.append(Node(kind, value, parts))

    def since_mark(self) -> list[Node]:
        """What was put on the stack since the last mark, taken off it."""
        found, self.nodes = self.nodes, self.outer.pop()
        return found

    def name(self, module: str, name: str) -> None:
        """Push a global, and note it."""
        if self.protocol < 3:  # as Python does for what its second version wrote
            if (module, name) in NAME_MAPPING:
                module, name = NAME_MAPPING[module, name]
            else:
                module = IMPORT_MAPPING.get(module, module)
        self.names[f"{module}.{name}"] = None
        self.push("global", f"{module}.{name}")
