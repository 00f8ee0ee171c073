"""Whether outputs are logits that one layer gives: the task has looked, and this passes it on."""

from anomech.observing.preparing import remarks
from anomech.records import Finding
from anomech.roles.task import Task

WEAKENING = frozenset({"no-feature-layer", "outputs-rescaled"})
"""Codes of remarks that cost power; others only say how the model was understood."""


def probe(task: Task) -> list[Finding]:
    """What a prepared task says of its model."""
    return [
        Finding(
            code=each.code,
            severity="low" if each.code in WEAKENING else "info",
            title=each.title,
            detail=each.detail,
            action=each.action,
        )
        for each in remarks(task)
    ]
