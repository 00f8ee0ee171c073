"""What a reader noticed on its way to the examples: files it left out, and how it took others."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class FileRemark:
    """Something that happened to a number of files or arrays.

    Attributes:
        what: in words that follow the number of files, such as "without an image suffix".
        count: of files.
        example: name of one of them.
        judged: whether they became examples all the same; the others are missing.
        picture: whether they were probably meant to become examples.
        row: whether they are rows of a file, and no files.
    """

    what: str
    count: int
    example: str
    judged: bool = False
    picture: bool = False
    row: bool = False


@runtime_checkable
class Remarked(Protocol):
    """Examples that say what was noticed when they were read."""

    @property
    def remarks(self) -> tuple[FileRemark, ...]: ...


def remarks_of(examples: object) -> tuple[FileRemark, ...]:
    """The remarks on examples; none if their reader makes none."""
    return examples.remarks if isinstance(examples, Remarked) else ()


class Counted:
    """Counts what happens to files, by kind, and keeps the first of each kind as its example.

    Args:
        rows: whether rows of a file are counted instead.
    """

    def __init__(self, *, rows: bool = False) -> None:
        self._found: dict[tuple[str, bool, bool], tuple[int, str]] = {}
        self._rows = rows

    def add(
        self, what: str, name: str, *, judged: bool = False, picture: bool = False, count: int = 1
    ) -> None:
        """Note one file, or several of which `name` is one."""
        before, first = self._found.get((what, judged, picture), (0, name))
        self._found[what, judged, picture] = (before + count, first)

    def remarks(self) -> tuple[FileRemark, ...]:
        """What was counted, the most frequent first."""
        made = [
            FileRemark(what, count, example, judged, picture, self._rows)
            for (what, judged, picture), (count, example) in self._found.items()
        ]
        return tuple(sorted(made, key=lambda each: (-each.count, each.what)))


def merged(remarks: Iterable[FileRemark]) -> tuple[FileRemark, ...]:
    """Remarks of several places as those of one."""
    counted = Counted()
    for each in remarks:
        counted.add(
            each.what, each.example, judged=each.judged, picture=each.picture, count=each.count
        )
    return counted.remarks()
