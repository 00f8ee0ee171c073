"""The plan of a review: an audit's plan and what is asked beyond it."""

from collections.abc import Mapping
from typing import Any

from anomech.audit.plan import Plan
from anomech.audit.plan import from_mapping as audit_plan
from anomech.kernel.config import build, option, options, resolved
from anomech.kernel.yaml_text import write_yaml
from anomech.repair.plan import RepairPlan
from anomech.repair.plan import from_mapping as repair_plan
from anomech.review.policies import policy
from anomech.review.risk import Costs, ranged


@options
class ReviewPlan:
    """A review."""

    audit: Mapping[str, Any] = option({}, "the audit: model, trusted examples, inputs, detectors")
    repair: Mapping[str, Any] = option({}, "options of repairs and of their proof")
    scan: bool = option(True, "look through the model's files first")
    rounds: int = option(2, "of audit and repair at the most", unit="rounds", ge=1, le=10)
    policy: str = option("", "policy of a domain that must be met")
    costs: Costs = option(Costs(), "what the risk is counted with")

    @property
    def first(self) -> Plan:
        """The audit of the model as it came."""
        return audit_plan(self.audit)

    @property
    def title(self) -> str:
        """What a report calls the model."""
        return self.first.title


def from_mapping(values: Mapping[str, Any]) -> ReviewPlan:
    """A plan with all options of its audit and its repairs resolved.

    Raises:
        ConfigError: an unknown key, policy or method, or a wrong value.
    """
    plan = build(ReviewPlan, values, "plan")
    if plan.policy:
        policy(plan.policy)
    for name in ("attack", "investigation", "accuracy", "prior"):
        ranged(name, getattr(plan.costs, name))
    audited = resolved(audit_plan(plan.audit))
    repaired = resolved(repair_plan({**shared(audited), **plan.repair}))
    return build(ReviewPlan, {**resolved(plan), "audit": audited, "repair": repaired}, "plan")


def shared(audited: Mapping[str, Any]) -> dict[str, Any]:
    """What a repair takes over from an audit."""
    return {name: audited[name] for name in ("model", "reference", "task", "budget", "seed")}


def repair_of(plan: ReviewPlan, audited: Plan, run: str) -> RepairPlan:
    """The repair of what an audit in a folder flagged."""
    return repair_plan({**plan.repair, **shared(resolved(audited)), "suspects": run})


def as_yaml(plan: ReviewPlan) -> str:
    """The resolved plan; reading it back gives the same plan."""
    return write_yaml(resolved(plan))
