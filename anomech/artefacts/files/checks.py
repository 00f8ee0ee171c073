"""What is checked of a file of each kind; a check reads and never runs."""

from collections.abc import Callable, Mapping
from typing import BinaryIO

from anomech.artefacts.files.found import Issue
from anomech.artefacts.files.kinds import Kind
from anomech.artefacts.files.pickles import check_pickle

Checked = tuple[tuple[str, ...], list[Issue]]
"""Notes on a file, and issues."""

Check = Callable[[BinaryIO, str, int], Checked]


def checked(kind: Kind, file: BinaryIO, name: str, size: int) -> Checked:
    """What is to be known of a file.

    Args:
        kind: of the file.
        file: open, at its beginning.
        name: what messages call it.
        size: its bytes.
    """
    check = CHECKS.get(kind)
    return ((), []) if check is None else check(file, name, size)


CHECKS: Mapping[Kind, Check] = {
    Kind.TORCH: check_pickle,
    Kind.PICKLE: check_pickle,
    Kind.SCRIPT: check_pickle,
}
"""The check of each kind that has one."""
