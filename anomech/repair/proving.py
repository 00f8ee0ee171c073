"""The proof of a repair: every check is on disk before the next one begins."""

import time
from collections.abc import Callable
from pathlib import Path

from anomech.audit.load.fingerprints import combined, fingerprint
from anomech.kernel.config import resolved
from anomech.kernel.errors import AnomechError
from anomech.records import Check, read_record, write_record
from anomech.repair.proof import accuracy, answers, audited, relearned, triggers
from anomech.repair.proof.context import Context
from anomech.storage.code import code_digest

FOLDER = "checks"

CHECKS: tuple[tuple[tuple[str, ...], Callable[[Context], list[Check]]], ...] = (
    (("accuracy",), lambda context: [accuracy.check(context)]),
    (("answers",), lambda context: [answers.check(context)]),
    (("old trigger", "new trigger"), triggers.checks),
    (("relearning",), lambda context: [relearned.check(context)]),
    (("second audit",), lambda context: [audited.check(context)]),
)
"""Names of checks, and what makes them, in their order."""


def proved(context: Context, out: Path) -> list[Check]:
    """All checks of a repaired model; those that the folder holds already are not done again."""
    basis = combined(
        (
            fingerprint(context.repaired),
            context.subject.basis,
            f"{sorted(resolved(context.plan.proof).items())} {context.plan.seed}",
            code_digest("anomech.repair.proving"),
        )
    )
    found: list[Check] = []
    for names, make in CHECKS:
        kept = [each for name in names if (each := _kept(out, name, basis)) is not None]
        if len(kept) == len(names):
            found += kept
            continue
        clock = time.monotonic()
        made = make(context)
        seconds = (time.monotonic() - clock) / len(made)
        for each in made:
            done = each.model_copy(update={"basis": basis, "seconds": seconds})
            write_record(_path(out, each.name), done)
            found.append(done)
    return found


def verified(checks: list[Check]) -> bool:
    """Whether every check was done and passed."""
    return bool(checks) and all(each.outcome == "passed" for each in checks)


def _path(out: Path, name: str) -> Path:
    return out / FOLDER / f"{name.replace(' ', '-')}.json"


def _kept(out: Path, name: str, basis: str) -> Check | None:
    try:
        kept = read_record(_path(out, name), Check)
    except AnomechError:
        return None
    return kept if kept.basis == basis else None
