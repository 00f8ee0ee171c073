"""What an audit flagged: which inputs are to be unlearned, and which of them share a mechanism."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from anomech.audit.judge.trusted import DOUBTFUL
from anomech.audit.plan import Plan, read_plan
from anomech.audit.plan import from_mapping as audit_plan
from anomech.kernel.errors import ConfigError, RunError
from anomech.records import ExampleRow, Run, Verdict, iterate_rows, read_record


@dataclass(frozen=True)
class Flagged:
    """The flags of an audit.

    Attributes:
        plan: of the audit, which says where the inputs are.
        ids: of the inputs to unlearn.
        judged: ids of all inputs.
        mechanism: number of the one that they share; None if flags share none.
        doubtful: digests of trusted examples that the audit left out as a group apart.
    """

    plan: Plan
    ids: tuple[str, ...]
    judged: tuple[str, ...]
    mechanism: int | None
    doubtful: frozenset[str] = frozenset()


def plan_of(run: Path) -> Plan:
    """The plan of an audit.

    Raises:
        RunError: the folder holds no audit, or one without verdicts.
    """
    found = read_record(run / "run.json", Run)
    if found.status != "complete":
        raise RunError(
            f"the audit in {run} is {found.status}; finish it, or give another run folder."
        )
    return audit_plan(read_plan(run / "plan.yaml"))


def flagged(run: Path, mechanism: int | None) -> Flagged:
    """The inputs of an audit's largest mechanism; all flags if it has none.

    Args:
        run: its folder.
        mechanism: number of the one to take instead.

    Raises:
        RunError: the folder holds no audit.
        ConfigError: it has no such mechanism.
    """
    plan = plan_of(run)
    rows = list(_verdicts(run))
    flags = [row for row in rows if row.decision == "flag"]
    sizes = Counter(row.mechanism for row in flags if row.mechanism is not None)
    if mechanism is not None and mechanism not in sizes:
        known = ", ".join(map(str, sorted(sizes))) or "none"
        raise ConfigError(f"the audit has no mechanism {mechanism}; it has {known}.")
    chosen = mechanism
    if chosen is None and sizes:
        chosen = sizes.most_common(1)[0][0]
    ids = tuple(row.id for row in flags if chosen is None or row.mechanism == chosen)
    return Flagged(plan, ids, tuple(row.id for row in rows), chosen, _doubtful(run, plan))


def _doubtful(run: Path, plan: Plan) -> frozenset[str]:
    """What the audit did not trust of its trusted set, by content."""
    if plan.doubtful == "keep":
        return frozenset()
    rows = iterate_rows(run / "examples.jsonl", ExampleRow)
    return frozenset(row.digest for row in rows if not row.used and row.reason == DOUBTFUL)


def _verdicts(run: Path) -> Iterator[Verdict]:
    return iterate_rows(run / "verdicts.jsonl", Verdict)


def places_of(ids: tuple[str, ...], among: tuple[str, ...]) -> np.ndarray:
    """Places of ids among all of them, int64.

    Raises:
        RunError: one is not there: the inputs are not those that were audited.
    """
    where = {name: place for place, name in enumerate(among)}
    missing = [name for name in ids if name not in where]
    if missing:
        raise RunError(
            f"{len(missing)} flagged inputs are no longer among the inputs of the audit (such as "
            f"{missing[0]}); run the audit again."
        )
    return np.array([where[name] for name in ids], np.int64)
