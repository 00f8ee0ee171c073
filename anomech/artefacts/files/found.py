"""What is found among the files of a model: the files themselves, and issues with stable codes."""

from dataclasses import dataclass
from typing import Literal

Grade = Literal["high", "medium", "low", "info"]


@dataclass(frozen=True)
class Issue:
    """Something a person should know of a file.

    Attributes:
        code: stable.
        grade: "high" says that the file must not be loaded as it is.
        where: path of the file inside the folder, with slashes.
        title: one line.
        detail: what was seen.
        action: what to do.
    """

    code: str
    grade: Grade
    where: str
    title: str
    detail: str
    action: str


@dataclass(frozen=True)
class FoundFile:
    """One file.

    Attributes:
        path: inside the folder, with slashes; of a single file its name.
        kind: what its bytes say it is, in words.
        size: bytes.
        sha256: empty if it could not be read.
        weights: whether a model's tensors can be read from it.
        model: whether it is of a kind in which a model can be.
        notes: what a person should know and that is no issue.
    """

    path: str
    kind: str
    size: int
    sha256: str = ""
    weights: bool = False
    model: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Looked:
    """What looking through files found.

    Attributes:
        name: of the file or folder, without what is above it.
        files: in the order of their paths.
        issues: of all files.
    """

    name: str
    files: tuple[FoundFile, ...]
    issues: tuple[Issue, ...]
