"""The files of a model as records."""

from anomech.artefacts.files.found import FoundFile, Issue, Looked
from anomech.audit.load.fingerprints import combined
from anomech.records import FileRow, Finding


def rows(looked: Looked) -> list[FileRow]:
    """A row for every file."""
    return [
        FileRow(
            path=each.path, kind=each.kind, size=each.size, sha256=each.sha256, notes=each.notes
        )
        for each in looked.files
    ]


def finding(issue: Issue) -> Finding:
    """An issue as a finding."""
    return Finding(
        code=issue.code,
        severity=issue.grade,
        title=f"{issue.where}: {issue.title}",
        detail=issue.detail,
        action=issue.action,
        where=issue.where,
    )


NO_MODEL = "no-model-file"
"""Code of the finding that what was looked through holds no model."""


def without_model(looked: Looked) -> list[Finding]:
    """A finding if no file is of a kind in which a model can be."""
    if any(each.model for each in looked.files):
        return []
    kinds = ", ".join(dict.fromkeys(each.kind for each in looked.files)) or "none"
    return [
        Finding(
            code=NO_MODEL,
            severity="medium",
            title=f"No file of {looked.name} is of a kind that holds a model",
            detail=f"Kinds that were found: {kinds}.",
            action="Check the path; a download may have left the weights out.",
        )
    ]


def digest(looked: Looked) -> str:
    """Hash of all that may decide what the model does: its weights, or else every file."""
    chosen: list[FoundFile] = [each for each in looked.files if each.weights]
    return combined(f"{each.path} {each.sha256}" for each in chosen or looked.files)
