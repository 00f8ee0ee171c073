"""Tables that pages and Markdown share."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """One table of a page.

    Attributes:
        title: what it is about.
        note: how to read it.
        head: of the columns, the first one that of what rows are.
        rows: as text.
    """

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def as_markdown(tables: Iterable[Table]) -> list[str]:
    """Lines of all tables under their titles."""
    out = list[str]()
    for table in tables:
        out += ["", f"## {table.title}", "", table.note, "", f"| {' | '.join(table.head)} |"]
        out.append("| --- " * len(table.head) + "|")
        out += [f"| {' | '.join(row)} |" for row in table.rows]
    return out
