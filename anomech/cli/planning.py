"""From the options of a command line to a plan, and to the folder that belongs to it."""

import re
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anomech.cli.groups import FLAGSHIP, Group, Running

if TYPE_CHECKING:
    from anomech.audit.plan import Plan
    from anomech.evidence.baseline import Baseline


def asked(groups: Sequence[Group], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of groups of options, and more, by their dotted place in a plan.

    What was not given has none.

    Raises:
        ConfigError: options that do not go together, or a value that is none.
    """
    named = {place: value for each in groups for place, value in each.asked().items()} | dict(more)
    if named.get("task.use") == "causal_lm":  # its last layer alone is no trace
        named.pop(f"{FLAGSHIP}.tracer", None)
    return {place: value for place, value in named.items() if value not in ("", None)}


def plan_of(
    given: Mapping[str, Any], running: Running, detectors: Sequence[str] | None = None
) -> "Plan":
    """The plan file, the plan of the profile or the defaults; then the options, then --set."""
    from anomech.audit.plan import Plan, read_plan
    from anomech.kernel.config import resolved

    values = read_plan(running.plan) if running.plan else resolved(Plan())
    if not running.plan and not detectors and "profile" not in given:
        values |= _picked(given)
    if "profile" in given and not running.plan:
        from anomech.audit.load.saved import peek

        values |= peek(Path(given["profile"]))["plan"]
    return plan_over(values, given, running, detectors)


def plan_over(
    values: Mapping[str, Any],
    given: Mapping[str, Any],
    running: Running,
    detectors: Sequence[str] | None = None,
) -> "Plan":
    """An audit's plan with the options laid over it, then --set."""
    from anomech.audit.plan import BASELINES, Plan, from_mapping
    from anomech.audit.settings import assign, put

    for name, value in given.items():
        values = put(values, name, value, Plan)
    if detectors:
        values = put(values, "lead", detectors[0], Plan)
        values = chosen(values, "detectors", [*detectors, *BASELINES], Plan)
    return from_mapping(assign(values, running.settings or [], Plan))


def _picked(given: Mapping[str, Any]) -> dict[str, Any]:
    """What runs with the access that is given, or that a model which only answers leaves.

    What it was and what is left out is said.
    """
    from anomech.audit.access import PICKED, left_out
    from anomech.cli.console import warn
    from anomech.roles.access import Access

    asked_alone = given.get("task.use") == "black_box"
    access = given.get("access") or (str(Access.probabilities) if asked_alone else "")
    if not access:
        return {}
    picked = PICKED[Access(access)]
    told = f"{access}; {', '.join(picked)} run"
    if beyond := left_out(Access(access)):
        words = ", ".join(f"{name} ({takes})" for name, takes in beyond.items())
        told += f". Left out, because they take more: {words}"
    warn(f"{told}.", label="access")
    return {"access": access, "lead": next(iter(picked)), "detectors": dict(picked)}


def chosen(
    values: Mapping[str, Any], place: str, names: Sequence[str] | None, cls: type
) -> dict[str, Any]:
    """A plan's mapping with these methods alone, whose options it keeps; all it has for no names.

    Args:
        values: the mapping.
        place: where its methods stand, such as `scanners`.
        names: of methods.
        cls: the plan's class.
    """
    from anomech.audit.settings import put

    if not names:
        return dict(values)
    known = values.get(place) or {}
    return put(values, place, {name: known.get(name, {}) for name in dict.fromkeys(names)}, cls)


def own_folder(kind: str, title: str, plan: str) -> Path:
    """A place that belongs to a plan alone, so that the same command finds it again.

    Args:
        kind: of the run, such as `audit`.
        title: what the plan calls its subject.
        plan: the resolved plan as YAML.
    """
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", title.partition(":")[0]).strip("-.")[:40]
    code = blake2b(plan.encode(), digest_size=4).hexdigest()
    return Path("runs") / f"{kind}-{name or 'model'}-{code}"


def accepted_in(file: Path | None) -> "Baseline | None":
    """What a baseline file accepts; read before any work, so that a damaged one is told at once.

    Raises:
        ConfigError: it is damaged, or an entry has no reason.
    """
    if file is None:
        return None
    from anomech.evidence.baseline import read

    return read(file)
