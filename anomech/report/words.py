"""Numbers and outcomes in plain words."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from anomech.records import DetectorSummary, Run
from anomech.report.load import Folder

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
# Controls, and the marks that make text read in another order than it is written.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

STATUS = {
    "running": "Still running when this page was made",
    "interrupted": "Interrupted: what was finished is shown",
    "complete": "Complete",
    "inconclusive": "Inconclusive: too little evidence for an answer",
    "failed": "Failed",
}


@dataclass(frozen=True)
class Answer:
    """The outcome of a run for someone who reads nothing else.

    Attributes:
        question: what was asked.
        headline: what was found.
        chance: what would be found by chance alone, "" if it cannot be said.
        meaning: sentences on what it means.
        steps: what to do, in order.
        level: "alarm", "calm" or "open", for the color.
    """

    question: str
    headline: str
    chance: str
    meaning: tuple[str, ...]
    steps: tuple[str, ...]
    level: str


def clean(text: str) -> str:
    """Text without terminal sequences, control characters and marks that turn its direction."""
    return _CONTROL.sub("", _ESCAPE.sub("", text))


def clip(text: str, length: int) -> str:
    """Text of at most this many characters; what is cut is marked."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def count(number: int, noun: str) -> str:
    """A number and its noun: "1 input", "1,000 inputs"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def percent(share: float) -> str:
    """A share as percent with up to two significant decimals, such as "0.5 %"."""
    return f"{float(f'{100 * share:.3g}'):g}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """A number with three significant digits and no exponent where it can be avoided."""
    if value is None:
        return "–"
    if value != 0 and not 1e-6 <= abs(value) < 1e7:
        return f"{value:.2g}"
    rounded = float(f"{value:.3g}")
    places = 0 if rounded == 0 else max(0, 2 - math.floor(math.log10(abs(rounded))))
    text = f"{rounded:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def p_value(value: float | None) -> str:
    """A p-value with three decimals, more if it is smaller than that shows."""
    return f"{value:.3f}" if value is not None and value >= 0.001 else number(value)


def moment(stamp: str) -> str:
    """A UTC time to the minute; what is not in ISO 8601 stays as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d)\S*?(?:Z|\+00:00)", stamp)
    return f"{found[1]} {found[2]} UTC" if found else stamp


def tail(name: str) -> str:
    """The last part of a path-like id, for narrow captions."""
    return clean(name).rstrip("/").rpartition("/")[2] or clean(name)


def seconds(value: float) -> str:
    """A duration for people."""
    if value < 0.01:
        return "<\N{NO-BREAK SPACE}0.01\N{NO-BREAK SPACE}s"
    if value < 60:
        return f"{number(value)}\N{NO-BREAK SPACE}s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours}\N{NO-BREAK SPACE}h {minutes}\N{NO-BREAK SPACE}min"
        if hours
        else (f"{minutes}\N{NO-BREAK SPACE}min {rest}\N{NO-BREAK SPACE}s")
    )


def chance(run: Run, inputs: int) -> str:
    """What chance gives at the run's budget, in one sentence."""
    if run.control == "batch":
        return (
            f"Flags are controlled over all inputs together: about {percent(run.budget)} of them, "
            "at most, are expected to be false."
        )
    rarely = "" if run.tolerated is None else f", and rarely more than {run.tolerated:,}"
    return (
        f"At a budget of {percent(run.budget)}, about {_about(inputs * run.budget)} would be "
        f"expected by chance alone{rarely}."
    )


def answer(folder: Folder) -> Answer:
    """The outcome of a run in words."""
    run, asked = folder.run, _question(folder)
    if folder.verdicts:
        return _judged(folder)
    what = {
        "running": "The audit was still going when this page was made: there is no verdict yet.",
        "interrupted": "The audit was stopped before it reached a verdict.",
        "inconclusive": "The audit could not reach a verdict.",
        "failed": "The audit failed before it reached a verdict.",
    }.get(run.status, "There is no verdict on any input in this run folder.")
    meaning = [run.message] if run.message else []
    meaning.append("Nothing follows from this page about the model or the inputs, good or bad.")
    return Answer(asked, what, "", tuple(meaning), _open_steps(run), "open")


def _question(folder: Folder) -> str:
    inputs = folder.verdicts or folder.listed
    trusted = folder.run.trusted
    return (
        "Asked: does the model reach any of its answers"
        + (f" to these {count(inputs, 'input')}" if inputs else "")
        + " in a way that "
        + (f"{count(trusted.total, 'trusted example')}" if trusted else "the trusted examples")
        + " cannot explain?"
    )


def _open_steps(run: Run) -> tuple[str, ...]:
    trusted = run.trusted
    if trusted and trusted.calibration < trusted.needed:
        return (
            f"Add trusted examples: a budget of {percent(run.budget)} needs at least "
            f"{trusted.needed:,} for calibration and there were {trusted.calibration:,}. "
            "Or accept a larger budget.",
            "Run the audit again.",
        )
    if run.status == "complete":
        return ("Check that the run folder is whole: verdicts.jsonl should be part of it.",)
    if run.status == "failed":
        return ("Remove what the message above names, then run the audit again.",)
    return ("Run the same command again: finished work is kept.",)


def _judged(folder: Folder) -> Answer:
    run, asked, judged = folder.run, _question(folder), folder.verdicts
    flagged, unsure = (folder.decisions.get(name, 0) for name in ("flag", "inconclusive"))
    were = "was" if flagged == 1 else "were"
    headline = f"{flagged:,} of {count(judged, 'input')} {were} flagged."
    by_chance = chance(run, judged - unsure)
    tolerated = 0 if run.control == "batch" else run.tolerated
    beyond = tolerated is not None and flagged > tolerated
    alike = sum(mechanism.size for mechanism in run.mechanisms)
    meaning = _unfinished(run) + _unsure(unsure)
    if unsure == judged:
        why = meaning or (run.message,)
        return Answer(asked, "No input could be judged.", "", why, _open_steps(run), "open")
    if beyond:
        meaning = _alarm(flagged, alike, run) + meaning
        return Answer(asked, headline, by_chance, meaning, _ACT, "alarm")
    if alike:
        meaning = _few_alike(alike, run) + meaning
        return Answer(asked, headline, by_chance, meaning, _ACT, "alarm")
    level = "open" if unsure or run.status != "complete" else "calm"
    return Answer(asked, headline, by_chance, _CALM + meaning, _REST, level)


def _about(expected: float) -> str:
    return "1" if 0.5 <= expected < 1.5 else f"{expected:,.0f}" if expected >= 1 else "none"


def _alarm(flagged: int, alike: int, run: Run) -> tuple[str, ...]:
    first = (
        "That is more than chance explains: for these inputs the model reaches its answer in a "
        "way that your trusted examples do not account for."
    )
    if not alike:
        return (
            first,
            "The flagged inputs do not resemble each other. That fits unfamiliar or damaged data "
            "rather than one planted trigger.",
        )
    those = f"the {flagged:,}" if run.compared is None else f"{run.compared:,} that were compared"
    return (first, f"{alike:,} of {those} respond alike, in {_groups(run)}. {_ALIKE}")


def _few_alike(alike: int, run: Run) -> tuple[str, ...]:
    return (
        "The number of flags alone is within what chance gives.",
        f"But {alike:,} of them respond alike, in {_groups(run)}, and chance rarely does that. "
        + _ALIKE,
    )


def _groups(run: Run) -> str:
    return count(len(run.mechanisms), "group")


def _unsure(unsure: int) -> tuple[str, ...]:
    return (f"{count(unsure, 'input')} could not be judged.",) if unsure else ()


def _unfinished(run: Run) -> tuple[str, ...]:
    if run.status == "complete":
        return ()
    return tuple(text for text in (STATUS[run.status] + ".", run.message) if text)


_ALIKE = (
    "A group like this is what a planted trigger leaves behind; a systematic change in the data, "
    "such as a new camera or a new template, can look the same."
)
_ACT = (
    "Do not act on the model's answers to the flagged inputs until a person has looked at them.",
    "Look at each mechanism below, its most central examples first, and ask what they share that "
    "the trusted examples next to them do not have.",
    "If it is harmless and expected, add such examples to the trusted set and run the audit again.",
    "If it is not, stop using the model for these answers, repair or replace it, and audit the "
    "result. Find out where the inputs came from.",
)
_CALM = (
    "That is within what ordinary inputs alone would give. Nothing here speaks for a hidden "
    "mechanism among these inputs.",
    "It does not prove that the model holds none: see what this audit cannot see.",
)
_REST = (
    "No action is needed because of these inputs. Glance at the flagged ones if there are any.",
    "Keep this report with the model, and audit new traffic before you rely on it.",
)


def lead_of(detectors: Sequence[DetectorSummary]) -> DetectorSummary | None:
    """The detector whose verdicts count."""
    return next((detector for detector in detectors if detector.lead), None)
