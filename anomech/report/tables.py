"""Tables that pages and Markdown share."""

from collections.abc import Iterable, Sequence
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
        out += ["", f"## {table.title}", "", table.note, "", _row(table.head)]
        out.append("| --- " * len(table.head) + "|")
        out += map(_row, table.rows)
    return out


def _row(cells: Sequence[str]) -> str:
    # A bar inside of a name would begin a column.
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
