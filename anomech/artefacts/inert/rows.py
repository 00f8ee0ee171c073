"""Rows of plain values, the form in which a pickle's content leaves the process that read it.

Each row refers to earlier ones only, so whoever reads them needs no recursion and meets no circles.
The first element of a row is its kind:

- `["v", value]`, `["b", bytes as latin-1 text]`
- `["l", rows]` a list or set, `["u", rows]` a tuple, `["d", rows]` keys and values in turn
- `["t", storage, type, offset, shape, strides]` a tensor whose numbers lie in the file
- `["a", type, order, shape, by columns, row of bytes]` an array of numpy
- `["n", name]`, `["s", storage, type or None, count]`, `["y", type, order]`: a name, a storage and
  a number type of numpy, which only calls make use of
- `["o", what]` what is not read
"""

from typing import Any, NamedTuple

from anomech.artefacts.inert.nodes import Refused

MAX_SIDES = 32
LARGEST = 2**62

REFERRING = ("l", "u", "d")
"""Kinds of rows that consist of others."""


class Call(NamedTuple):
    """A call and what was done to its result; all of them numbers of rows."""

    function: str
    arguments: list[int]
    items: list[int]
    pairs: list[int]
    states: list[int]

    def argument(self, place: int) -> int | None:
        """An argument; None if there are fewer."""
        return self.arguments[place] if place < len(self.arguments) else None


class Rows:
    """Rows as they are made.

    Attributes:
        rows: see the module.
        counts: by key, how many numbers the storages that tensors lie in are said to have.
        spare: elements and bytes that calls may still copy, so that a shared text that is encoded
            over and over stays within what the file has.
    """

    def __init__(self, size: int) -> None:
        self.rows: list[list[Any]] = []
        self.counts: dict[str, int] = {}
        self.spare = 4 * size + 2**16
        self._known: dict[tuple[type, Any], int] = {}

    def add(self, *row: Any) -> int:
        """Add a row; its number."""
        self.rows.append([*row])
        return len(self.rows) - 1

    def value(self, value: Any) -> int:
        """A row for a plain value; texts and small numbers share theirs."""
        if isinstance(value, str | bool) or (type(value) is int and -(2**30) < value < 2**30):
            key = (type(value), value)
            if key not in self._known:
                self._known[key] = self.add("v", value)
            return self._known[key]
        return self.add("v", value)

    def spend(self, amount: int) -> None:
        """Count what a call copies.

        Raises:
            Refused: it is more than the file explains.
        """
        self.spare -= amount
        if self.spare < 0:
            raise Refused("copies its own content over and over")

    def kind(self, row: int | None) -> str:
        """Kind of a row; "" if there is none."""
        return "" if row is None else self.rows[row][0]

    def plain(self, row: int | None) -> Any:
        """The plain value of a row; None for anything else."""
        return self.rows[row][1] if row is not None and self.kind(row) == "v" else None

    def name(self, row: int | None) -> str:
        """The name in a row; "" for anything else."""
        return self.rows[row][1] if row is not None and self.kind(row) == "n" else ""

    def elements(self, row: int | None) -> list[int]:
        """Rows of the elements of a list or tuple; empty for anything else."""
        return self.rows[row][1] if row is not None and self.kind(row) in ("l", "u") else []

    def sides(self, row: int | None) -> list[int] | None:
        """A shape or strides; None if it is none."""
        found = [self.plain(each) for each in self.elements(row)[: MAX_SIDES + 1]]
        good = all(type(n) is int and 0 <= n < LARGEST for n in found)
        return found if good and len(found) <= MAX_SIDES else None

    def tensor(
        self, storage: int, dtype: str, offset: Any, shape: list[int] | None, strides: Any
    ) -> int:
        """A row for a tensor that lies in a storage.

        Raises:
            Refused: it has no possible shape.
        """
        if type(offset) is not int or offset < 0 or shape is None or strides is None:
            raise Refused("holds a tensor of an impossible shape")
        _, key, _, count = self.rows[storage]
        self.counts[key] = max(count, self.counts.get(key, 0))
        return self.add("t", key, dtype, offset, shape, strides)

    def needed_for(self, root: int) -> list[list[Any]]:
        """The rows that a row is made of, numbered anew; it is the last of them."""
        needed = bytearray(root + 1)
        needed[root] = True
        for row in range(root, -1, -1):
            for each in self._inside(row) if needed[row] else ():
                needed[each] = True
        chosen = [row for row in range(root + 1) if needed[row]]
        number = {row: place for place, row in enumerate(chosen)}
        return [self._renumbered(self.rows[row], number) for row in chosen]

    def _inside(self, row: int) -> list[int]:
        kind = self.kind(row)
        if kind == "a":
            return [self.rows[row][-1]]
        return self.rows[row][1] if kind in REFERRING else []

    @staticmethod
    def _renumbered(row: list[Any], number: dict[int, int]) -> list[Any]:
        if row[0] == "a":
            return [*row[:-1], number[row[-1]]]
        return [row[0], [number[each] for each in row[1]]] if row[0] in REFERRING else row
