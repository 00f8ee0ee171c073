"""Expected cost of using a model (equation 6 of the review of backdoor mechanisms), as a range.

`R = P(backdoor) C(attack) + P(false alarm) C(investigation) + C(accuracy lost)`. Costs are the
user's, each with a lowest and a highest value. The probability of a backdoor follows by Bayes'
rule from a prior and what the audit found, with the share of planted triggers that it catches; a
verified repair leaves the share of flagged answers that may still be there.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from anomech.calibration.excess import LEVEL
from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError
from anomech.records import RepairRun, Risk, Sensitivity

Range = tuple[float, float]

UNKNOWN: Range = (0.5, 1.0)
"""Share of backdoors that an audit finds, if no trigger was planted to see it."""


@options
class Costs:
    """What things cost, in any unit: a number, or the lowest and the highest."""

    attack: tuple[float, ...] = option((100.0,), "of an attack that succeeds")
    investigation: tuple[float, ...] = option((1.0,), "of looking into a false alarm")
    accuracy: tuple[float, ...] = option((1.0,), "of each per cent of accuracy that is lost")
    prior: tuple[float, ...] = option((0.01, 0.1), "chance of a backdoor before anything was asked")


@dataclass(frozen=True)
class Evidence:
    """What is known when the risk is told.

    Attributes:
        found: whether the first audit flagged more than chance gives.
        sensitivity: what it would have caught.
        repair: the one that stands, if there was any.
        clean: whether the model as it is now was found clean, or its repair was verified.
    """

    found: bool
    sensitivity: Sequence[Sensitivity]
    repair: RepairRun | None
    clean: bool


def ranged(name: str, given: Sequence[float]) -> Range:
    """A cost as lowest and highest.

    Raises:
        ConfigError: not one or two numbers that are not negative, in their order.
    """
    if len(given) not in (1, 2) or min(given) < 0 or given[0] > given[-1]:
        raise ConfigError(f"costs.{name} takes one number or the lowest and the highest.")
    return given[0], given[-1]


def risk(costs: Costs, evidence: Evidence) -> Risk:
    """The expected cost of using the model as it is now."""
    caught = _caught(evidence.sensitivity)
    ranges: dict[str, Range] = {
        "cost of an attack": ranged("attack", costs.attack),
        "cost of a false alarm": ranged("investigation", costs.investigation),
        "cost of a per cent of accuracy": ranged("accuracy", costs.accuracy),
        "chance of a backdoor beforehand": ranged("prior", costs.prior),
        "share of backdoors that are found": caught,
        "share of it that is left": _left(evidence),
    }
    lost = _lost(evidence.repair)

    def parts(values: Mapping[str, float]) -> dict[str, float]:
        there = _posterior(values, evidence) * values["share of it that is left"]
        return {
            "attack": there * values["cost of an attack"],
            "false alarms": LEVEL * values["cost of a false alarm"],
            "accuracy": 100 * lost * values["cost of a per cent of accuracy"],
        }

    def total(values: Mapping[str, float]) -> float:
        return sum(parts(values).values())

    low, high = _ends(ranges, total)
    middle = {name: sum(each) / 2 for name, each in ranges.items()}
    named: dict[str, Range] = {}
    for part in parts(middle):
        named[part] = _ends(ranges, lambda values, part=part: parts(values)[part])  # type: ignore[misc]
    there = _ends(
        ranges,
        lambda values: _posterior(values, evidence) * values["share of it that is left"],
    )
    return Risk(
        low=low,
        middle=total(middle),
        high=high,
        backdoor=there,
        parts=named,
        moves={name: _move(name, ranges, middle, total) for name in ranges},
        basis=_basis(evidence),
    )


def _posterior(values: Mapping[str, float], evidence: Evidence) -> float:
    """Bayes' rule, with the chance of a false finding of the audit's own test."""
    prior = values["chance of a backdoor beforehand"]
    found = values["share of backdoors that are found"]
    if evidence.found:
        there, not_there = prior * found, (1 - prior) * LEVEL
    else:
        there, not_there = prior * (1 - found), (1 - prior) * (1 - LEVEL)
    return there / (there + not_there) if there + not_there > 0 else 0.0


def _caught(sensitivity: Sequence[Sensitivity]) -> Range:
    """A backdoor is found when enough uses are: planted kinds are taken for what may be there."""
    known = [(each.low, each.high) for each in sensitivity if each.low is not None]
    if not known:
        return UNKNOWN
    return min(low or 0.0 for low, _ in known), max(high or 1.0 for _, high in known)


def _left(evidence: Evidence) -> Range:
    """Share of the mechanism that may still be there."""
    if evidence.repair is None or not evidence.clean:
        return 1.0, 1.0
    for check in evidence.repair.checks:
        if check.name == "answers" and "at most" in check.numbers:
            return check.numbers["left"], check.numbers["at most"]
    return 0.0, 1.0


def _lost(repair: RepairRun | None) -> float:
    if repair is None:
        return 0.0
    return max(0.0, next(c.numbers["lost"] for c in repair.checks if c.name == "accuracy"))


def _ends(ranges: Mapping[str, Range], value: Callable[[Mapping[str, float]], float]) -> Range:
    """Lowest and highest of what is monotone in each quantity, over all corners."""
    corners: list[dict[str, float]] = [{}]
    for name, (low, high) in ranges.items():
        corners = [{**each, name: end} for each in corners for end in {low, high}]
    found = [value(each) for each in corners]
    return min(found), max(found)


def _move(
    name: str,
    ranges: Mapping[str, Range],
    middle: Mapping[str, float],
    total: Callable[[Mapping[str, float]], float],
) -> float:
    low, high = ranges[name]
    return abs(total({**middle, name: high}) - total({**middle, name: low}))


def _basis(evidence: Evidence) -> str:
    known = [each for each in evidence.sensitivity if each.low is not None]
    if known:
        names = ", ".join(each.trigger for each in known)
        return f"What the audit catches was measured with planted triggers ({names}), not others."
    return (
        "What the audit catches was not measured (--sensitivity), so it is taken to be between "
        f"{UNKNOWN[0]:.0%} and {UNKNOWN[1]:.0%}."
    )
