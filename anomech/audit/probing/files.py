"""Whether every file was judged, and as it seems."""

from anomech.data.remarks import FileRemark, remarks_of
from anomech.kernel.errors import shortened
from anomech.records import Finding

SHOWN = 4
"""Reasons that are listed."""


def probe(name: str, examples: object) -> list[Finding]:
    """Findings about files that were left out, and about those that were taken in another form.

    Args:
        name: of the set, such as "inputs".
        examples: the set; a reader that makes no remarks has left out nothing.
    """
    remarks = remarks_of(examples)
    left_out = [each for each in remarks if not each.judged]
    converted = [each for each in remarks if each.judged]
    return [*_left_out(name, left_out), *_converted(name, converted)]


def _left_out(name: str, remarks: list[FileRemark]) -> list[Finding]:
    if not remarks:
        return []
    count = sum(each.count for each in remarks)
    pictures = any(each.picture for each in remarks)
    return [
        Finding(
            code="files-left-out",
            severity="medium" if pictures else "info",
            title=f"{count} {'file' if count == 1 else 'files'} of the {name} "
            f"{'was' if count == 1 else 'were'} left out",
            detail=_listed(remarks),
            action="Convert pictures that should be judged to PNG or JPEG."
            if pictures
            else "Nothing is needed if these are no pictures.",
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
            action="See that the model was trained on images in this form.",
        )
    ]


def _listed(remarks: list[FileRemark]) -> str:
    parts = [
        f"{each.count} {each.what} (such as '{shortened(each.example, 80)}')"
        for each in remarks[:SHOWN]
    ]
    more = len(remarks) - SHOWN
    return "; ".join(parts) + (f"; and {more} more kinds" if more > 0 else "") + "."
