"""From files and scanners to one verdict on the model, and findings that say why."""

import math
from collections.abc import Sequence

from anomech.calibration.models import combined, jointly
from anomech.records import Asked, Chance, Compared, Finding, ModelVerdict, ScannerResult
from anomech.scan.files import NO_MODEL
from anomech.scan.plan import ScanPlan

MOST = 0.5
"""Share of all inputs that one class must take for a person to be told, where no clean network says
how often that happens. Of three clean networks for CIFAR-10 one gives a class 0.56."""

NATURAL = 0.5
"""Success of a trigger on clean models from which on a natural feature explains it."""


def together(results: Sequence[ScannerResult]) -> Chance | None:
    """The p-value of all scanners that give one; None if none does."""
    chances = _chances(results)
    if len(chances) < 2:
        return chances[0] if chances else None
    weak = dict.fromkeys(each.weakness for each in chances if each.weakness)
    joint = _jointly(chances)
    return Chance(
        value=combined([each.value for each in chances]) if joint is None else joint,
        of=f"any of {len(chances)} scanners says as much of a clean network",
        weakness="; ".join(weak),
        networks=min(each.networks for each in chances),
    )


def _chances(results: Sequence[ScannerResult]) -> list[Chance]:
    return [each.chance for each in results if each.chance is not None and each.compared]


def _jointly(chances: Sequence[Chance]) -> float | None:
    """The p-value by the clean models that all scanners saw; None if they did not."""
    rows = [each.standings for each in chances]
    return jointly(rows) if rows and rows[0] and len(set(map(len, rows))) == 1 else None


def suspected(plan: ScanPlan, results: Sequence[ScannerResult]) -> tuple[str, ...]:
    """Answers that a trigger may lead to: the most suspicious of every scanner that finds one."""
    found = (each.compared[0] for each in finding(plan, results))
    return tuple(dict.fromkeys(one.name for one in found if one.group is not None))


def verdict(
    plan: ScanPlan,
    asked: Sequence[Asked],
    findings: Sequence[Finding],
    results: Sequence[ScannerResult],
) -> tuple[ModelVerdict, tuple[str, ...]]:
    """The verdict, and why it is that, as sentences.

    Args:
        plan: resolved.
        asked: what was looked at.
        findings: of files and scanners, those that are accepted included.
        results: of every scanner that was asked.
    """
    chance = together(results)
    bad = [each for each in findings if each.fails]
    if bad:
        first = bad[0].title.rstrip(".")
        more = f" and {len(bad) - 1} more of high severity" if len(bad) > 1 else ""
        return "finding", (f"{first}{more}.",)
    if list(asked) == ["files"] and any(each.code == NO_MODEL for each in findings):
        return "inconclusive", ("There is no model among the files, so nothing is said of one.",)
    if chance is None and "triggers" in asked:
        return "inconclusive", _unknown(results)
    if chance is not None and (needed := _missing(plan, results)):
        said = (
            f"With {chance.networks} clean models no p-value can reach {plan.level:g}; give "
            f"{needed} at least (--clean-model), or a larger --level."
        )
        return "inconclusive", (said,)
    accepted = {each.code for each in findings if each.accepted}
    taken = [each for each in results if _takes_most(each) and _open_code(each) not in accepted]
    if taken and chance is not None:
        return "inconclusive", tuple(map(_taken, taken))
    if chance is not None:
        weak = (f"{chance.weakness[:1].upper()}{chance.weakness[1:]}.",) if chance.weakness else ()
        return "no finding", (_calm(plan, findings, results, chance), *weak)
    if "weights" in asked:
        said = (
            "Weights were compared with each other alone; clean models of the same architecture "
            "(--clean-model) would give p-values."
        )
        return "no finding", (f"{_FILES}.", said)
    return "no finding", (f"{_FILES}; the model itself was not looked at.",)


_FILES = "Nothing of high severity was found in the files"


def _calm(
    plan: ScanPlan,
    findings: Sequence[Finding],
    results: Sequence[ScannerResult],
    chance: Chance,
) -> str:
    """Why what scanners say is no finding."""
    stood = finding(plan, results)
    if not stood:
        return f"No scanner finds what a clean model would not explain (p = {chance.value:.2g})."
    if any(each.accepted and each.code == code_of(stood[0]) for each in findings):
        return f"What {stood[0].name} found is accepted by the baseline file."
    first = stood[0].compared[0].name
    return f"The trigger found for '{first}' leads clean models there as well."


def code_of(result: ScannerResult) -> str:
    """The code of the finding of a scanner."""
    return f"scanner-{result.name.replace('_', '-')}"


def finding(plan: ScanPlan, results: Sequence[ScannerResult]) -> list[ScannerResult]:
    """The scanners that find something, within the level that they share."""
    chances = _chances(results)
    given = [each for each in results if each.chance in chances and each.compared]
    if not given:
        return []
    if (joint := _jointly(chances)) is not None:
        if joint > plan.level:
            return []
        top = max(each.standings[0] for each in chances)
        return [each for each in given if each.chance and each.chance.standings[0] == top]
    share = plan.level / len(given)
    return [each for each in given if each.chance and each.chance.value <= share]


def _missing(plan: ScanPlan, results: Sequence[ScannerResult]) -> int:
    """Clean models that the level needs, if there are too few of them for any finding; else 0."""
    chances = _chances(results)
    if not chances or not all(each.networks for each in chances):
        return 0
    shares = len(chances) if _jointly(chances) is None else 1
    needed = math.ceil(shares / plan.level) - 1
    return needed if max(each.networks for each in chances) < needed else 0


def findings_of(plan: ScanPlan, results: Sequence[ScannerResult]) -> list[Finding]:
    """What the scanners found, and which of them said nothing."""
    listed = [_suspicious(plan, each, results) for each in finding(plan, results)]
    for each in results:
        if _takes_most(each):
            listed.append(_uncalibrated(each))
        if each.status == "left out":
            listed.append(_left_out(each))
        elif each.problems:
            listed.append(_unsound(each))
    return listed


def _suspicious(plan: ScanPlan, result: ScannerResult, others: Sequence[ScannerResult]) -> Finding:
    first, chance = result.compared[0], result.chance
    assert chance is not None
    weak = f" {chance.weakness[:1].upper()}{chance.weakness[1:]}." if chance.weakness else ""
    elsewhere = _elsewhere(plan, result, others)
    look = "Look at the recovered trigger." if first.trigger else "Ask how it was trained or tuned."
    return Finding(
        code=code_of(result),
        severity="medium" if _natural(first) else "high",
        title=f"{result.name}: {result.unit} '{first.name}' stands out",
        detail=f"Its statistic is {first.statistic:.3g}; the chance that {chance.of} is "
        f"{chance.value:.2g}.{_confirmed(first)}{elsewhere}{weak}",
        action=f"{look} Do not rely on the model until the cause is known; judge its traffic with "
        "anomech audit, repair it or replace it.",
    )


def _takes_most(result: ScannerResult) -> bool:
    """Whether one class takes most of what nothing calibrates."""
    if not result.shares or result.chance is not None or not result.compared:
        return False
    return not result.problems and result.compared[0].statistic >= MOST


def _open_code(result: ScannerResult) -> str:
    """The code of what such a scanner leaves open."""
    return f"{code_of(result)}-uncalibrated"


def _taken(result: ScannerResult) -> str:
    """What one class takes, and what would tell whether that means anything."""
    first = result.compared[0]
    return (
        f"{result.name}: {result.unit} '{first.name}' takes {first.statistic:.0%} more of all "
        "inputs than before, and no clean model tells how often that happens; give some of the "
        "same kind (--clean-model)."
    )


def _uncalibrated(result: ScannerResult) -> Finding:
    first = result.compared[0]
    return Finding(
        code=_open_code(result),
        severity="medium",
        title=f"{result.name}: {result.unit} '{first.name}' takes most inputs, and nothing says "
        "whether that is unusual",
        detail=f"Its share rises by {first.statistic:.0%} of all inputs. Backdoors do that, and so "
        "do natural classes of some clean networks. Classes of one model share out one whole, so "
        "the others calibrate nothing.",
        action="Give clean models of the same kind (--clean-model), ten or more. Until then, judge "
        "the traffic of this model with anomech audit.",
    )


def _elsewhere(plan: ScanPlan, result: ScannerResult, others: Sequence[ScannerResult]) -> str:
    """Where other searches that would find something put another class: which it is, is open."""
    own = result.compared[0].name
    said = [
        f"{each.name} puts '{each.compared[0].name}' first ({each.chance.value:.2g})"
        for each in others
        if each.asked == result.asked == "triggers"
        and each.compared
        and each.chance is not None
        and each.chance.value <= plan.level
        and each.compared[0].name != own
    ]
    return f" Which class it is, is open: {', '.join(said)}." if said else ""


def _natural(found: Compared) -> bool:
    """Whether clean models fall for the trigger too."""
    return (
        found.trigger is not None
        and found.trigger.clean_success is not None
        and found.trigger.clean_success >= NATURAL
    )


def _confirmed(found: Compared) -> str:
    trigger = found.trigger
    if trigger is None or trigger.success is None:
        return ""
    said = (
        f" The trigger that was recovered leads {trigger.success:.0%} of {trigger.held_out} "
        "held-out trusted inputs there"
    )
    if trigger.clean_success is None:
        return said + "."
    natural = ", so a natural feature explains it" if _natural(found) else ""
    return said + f", and {trigger.clean_success:.0%} on clean models{natural}."


def _left_out(result: ScannerResult) -> Finding:
    return Finding(
        code="scanner-left-out",
        severity="low",
        title=f"{result.name} is left out",
        detail=result.why,
        action="Nothing is needed if the other scanners will do.",
    )


def _unsound(result: ScannerResult) -> Finding:
    return Finding(
        code="scanner-unsound",
        severity="medium",
        title=f"{result.name} gives no p-value",
        detail=" ".join(f"{each[:1].upper()}{each[1:]}" for each in result.problems),
        action="Change its options as the sentence says, or use another scanner.",
    )


def _unknown(results: Sequence[ScannerResult]) -> tuple[str, ...]:
    """Why no scanner gives a p-value, and what would help."""
    why = [f"{each.name}: {text}" for each in results for text in each.problems[:1]]
    why += [f"{each.name}: {each.why}" for each in results if each.status == "left out"]
    help_ = (
        "Clean models of the same architecture and data (--clean-model, again and again) would "
        "give p-values."
    )
    return ("No scanner gives a p-value for this model.", *why, help_)
