"""Whether every file or row was judged, and as it seems."""

from anomech.data.remarks import FileRemark, remarks_of
from anomech.kernel.errors import shortened
from anomech.kernel.types import Examples
from anomech.records import Finding
from anomech.roles.sequences import Cutting
from anomech.roles.task import Task

SHOWN = 4
"""Reasons that are listed."""


def probe(name: str, examples: Examples | None, task: Task | None = None) -> list[Finding]:
    """Findings about what was left out, and about what was taken in another form.

    Args:
        name: of the set, such as "inputs".
        examples: the set; a reader that makes no remarks has left out nothing, and None is none.
        task: the model; one that reads inputs up to some length says which are too long.
    """
    remarks = remarks_of(examples)
    if examples is not None and isinstance(task, Cutting) and (long := task.cut(examples)):
        what = "longer than the model reads, and cut"
        cut = FileRemark(what, len(long), long[0], judged=True, picture=True, row=True)
        remarks = (*remarks, cut)
    left_out = [each for each in remarks if not each.judged]
    converted = [each for each in remarks if each.judged]
    return [*_left_out(name, left_out), *_converted(name, converted)]


def _left_out(name: str, remarks: list[FileRemark]) -> list[Finding]:
    if not remarks:
        return []
    count = sum(each.count for each in remarks)
    pictures, rows = any(each.picture for each in remarks), remarks[0].row
    what = "row" if rows else "file"
    action = "Nothing is needed if these are no pictures."
    if rows:
        action = "Nothing is needed if nothing was meant to stand there."
    elif pictures:
        action = "Convert pictures that should be judged to PNG or JPEG."
    return [
        Finding(
            code="files-left-out",
            severity="medium" if pictures else "info",
            title=f"{count} {what if count == 1 else f'{what}s'} of the {name} "
            f"{'was' if count == 1 else 'were'} left out",
            detail=_listed(remarks),
            action=action,
        )
    ]


def _converted(name: str, remarks: list[FileRemark]) -> list[Finding]:
    if not remarks:
        return []
    return [
        Finding(
            code="files-converted",
            severity="low" if any(each.picture for each in remarks) else "info",
            title=f"Some of the {name} were not taken as they are",
            detail=_listed(remarks),
            action="Give shorter texts, or judge parts of long ones."
            if remarks[0].row
            else "See that the model was trained on images in this form.",
        )
    ]


def _listed(remarks: list[FileRemark]) -> str:
    parts = [
        f"{each.count} {each.what} (such as '{shortened(each.example, 80)}')"
        for each in remarks[:SHOWN]
    ]
    more = len(remarks) - SHOWN
    return "; ".join(parts) + (f"; and {more} more kinds" if more > 0 else "") + "."
