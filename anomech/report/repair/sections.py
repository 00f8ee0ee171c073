"""What each section of the page of a repair shows; words and looks are in templates/."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup

from anomech.records import Check, RepairRun
from anomech.report.repair.curve import curve
from anomech.report.repair.units import chart
from anomech.report.words import percent

LOCALIZED = 0.5
"""Part of the effect in the top hundredth of units from which a mechanism counts as localized."""


@dataclass(frozen=True)
class Answer:
    """The outcome for someone who reads nothing else; `level` is its color."""

    headline: str
    meaning: tuple[str, ...]
    steps: tuple[str, ...]
    level: str


class Proved(NamedTuple):
    """A check, its drawing if it has one, and its numbers by name."""

    check: Check
    drawn: Markup
    numbers: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Page:
    """All that the templates are given."""

    answer: Answer
    checks: tuple[Proved, ...]
    units: Markup
    where: str
    changed: tuple[str, ...]


def build(run: RepairRun, changed: Sequence[str]) -> Page:
    """Choose everything the page shows.

    Args:
        run: the top record.
        changed: files that are not as the repair left them.
    """
    return Page(
        answer=_answer(run),
        checks=tuple(Proved(each, _drawn(each), _numbers(each)) for each in run.checks),
        units=chart("units", run.units),
        where=_where(run),
        changed=tuple(changed),
    )


def _answer(run: RepairRun) -> Answer:
    if run.status != "complete":
        what = {
            "running": "The repair was still going when this page was made.",
            "interrupted": "The repair was stopped before it was proved.",
        }.get(run.status, "The repair failed.")
        steps = ("Run the same command again: finished methods and checks are kept.",)
        return Answer(what, (run.message,) if run.message else (), steps, "open")
    failed = [each for each in run.checks if each.outcome == "failed"]
    open_ = [each for each in run.checks if each.outcome == "not done"]
    if run.verified:
        return Answer("The repair is verified.", (_chosen(run), _LIMIT), _VERIFIED, "calm")
    said = tuple(each.said for each in (*failed, *open_))
    if failed:
        names = ", ".join(each.name for each in failed)
        count = f"{len(failed)} of {len(run.checks)} checks failed"
        headline = f"The repair is not verified: {count} ({names})."
        only = names == "second audit"
        return Answer(
            headline, (_chosen(run), *said), (*_FAILED, *(_SEEN if only else ())), "alarm"
        )
    headline = "The repair is not verified: not everything could be checked."
    return Answer(headline, (_chosen(run), *said), _OPEN, "open")


def _chosen(run: RepairRun) -> str:
    tried = sum(each.status == "done" for each in run.methods)
    of = f", chosen among {tried} by trusted examples and flagged inputs" if tried > 1 else ""
    lost = next((each.numbers["lost"] for each in run.checks if "lost" in each.numbers), 0.0)
    cost = (
        f"accuracy rises by {percent(-lost)}"
        if lost < 0
        else f"its cost in accuracy is {run.grade}"
    )
    return f"The weights are those of {run.chosen}{of}; {cost}."


def _where(run: RepairRun) -> str:
    if run.concentration is None:
        return "Without flagged inputs nothing says where the mechanism sits."
    share = percent(run.concentration)
    kind = "localized" if run.concentration >= LOCALIZED else "spread"
    what = "can be pruned" if kind == "localized" else "has to be unlearned"
    return (
        f"The top hundredth of units has {share} of the effect on flagged answers: the mechanism "
        f"is {kind}, so it {what}."
    )


def _numbers(check: Check) -> tuple[tuple[str, float], ...]:
    """As they are read: a loss below zero is a gain."""
    return tuple(
        (name.replace("lost", "gained").replace("at most", "at least"), -value)
        if name.startswith("lost") and value < 0
        else (name, value)
        for name, value in check.numbers.items()
    )


def _drawn(check: Check) -> Markup:
    if len(check.curve) < 2:
        return Markup("")
    mark = "never planted, after "
    other = [
        (float(name.removeprefix(mark)), value)
        for name, value in check.numbers.items()
        if name.startswith(mark)
    ]
    return curve("relearning", check.curve, sorted(other))


_LIMIT = (
    "It does not prove that no other trigger is left: the searches are those named below, and "
    "another trigger may be of a kind that they do not find."
)
_VERIFIED = (
    "Use the repaired weights (repaired.safetensors) in place of the old ones.",
    "Judge their traffic with anomech audit, as you would a new model.",
    "Keep this page with the weights.",
)
_FAILED = (
    "Do not rely on the repaired weights.",
    "Try other methods (--method), give more trusted examples, or more flagged inputs.",
    "If the training data are at hand, remove what was flagged and train anew: that is the surest.",
)
_SEEN = (
    "Look at what is still flagged, and for which cause: an input with a visible trigger may be "
    "foreign to any network. Audit honest traffic with the repaired weights beside it.",
)
_OPEN = (
    "Give what the checks that were not done ask for, then run the repair again.",
    "Until then take the repaired weights for untested.",
)
