"""The outcome of a run in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomech.records import DetectorSummary, FalseFlagRate, Run, Sensitivity
from anomech.report.run.folder import Folder
from anomech.report.words import STATUS, count, percent

WEAK = 0.5
"""Share of a planted trigger's uses below which a quiet audit is no calm answer."""


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


def chance(run: Run, inputs: int) -> str:
    """What chance gives at the run's budget, in one sentence."""
    if run.control == "batch":
        return (
            f"Flags are controlled over all inputs together: about {percent(run.budget)} of them, "
            "at most, are expected to be false."
        )
    rarely = "" if run.tolerated is None else f", and rarely more than {run.tolerated:,}"
    said = (
        f"At a budget of {percent(run.budget)}, about {about(inputs * run.budget)} would be "
        f"expected by chance alone{rarely}."
    )
    return said if run.rate is None else f"{said} {known_rate(run.budget, run.rate)}"


def known_rate(budget: float, rate: FalseFlagRate) -> str:
    """What a budget comes to with one trusted set, in a sentence."""
    return (
        f"With so many calibration examples {percent(budget)} means {_rounded(rate.mean)}, "
        f"give or take {_rounded(rate.spread)}."
    )


def _rounded(share: float) -> str:
    """A share with one decimal, or as many as a small one needs."""
    return percent(share) if share < 0.001 else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


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
    weak = any(each.caught is not None and each.caught < WEAK for each in run.sensitivity)
    grave = [each.title for each in folder.findings if each.fails]
    doubtful = bool(folder.doubtful)
    level = "open" if grave or unsure or weak or doubtful or run.status != "complete" else "calm"
    said = (_QUIET, *(f"{each}." for each in grave)) if grave or doubtful else _CALM
    rest = (_LOOK, _REST[1]) if doubtful else _REST
    steps = (_FIRST,) if grave else (*rest, *((_WEAK,) if weak else ()))
    meaning = (*said, power(folder), *meaning)
    return Answer(asked, headline, by_chance, meaning, steps, level)


def power(folder: Folder) -> str:
    """What the audit would have caught, as far as it is known: beside every "nothing found"."""
    tried = folder.run.sensitivity
    if not tried:
        if any(each.code == "sensitivity-unknown" for each in folder.findings):
            return "What this audit would have caught is not known: see the findings."
        return (
            "Whether this audit would have caught a planted trigger was not measured; "
            "--sensitivity measures it."
        )
    return (
        f"Before it judged, the audit planted triggers of its own in copies of the model: "
        f"{'; '.join(map(_of_trigger, tried))}. This tells what it can see, and is no promise: an "
        "attacker's trigger may differ, and may lie deeper than one that was planted at the end."
    )


def _whole(share: float) -> str:
    """A share in whole percent: so many uses tell no more."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _of_trigger(each: Sensitivity) -> str:
    """What is known of one planted trigger."""
    if each.caught is None or each.low is None or each.high is None:
        did = "could not be judged" if each.took else "did not take"
        return f"the {each.trigger} {did}, so nothing is known of it"
    return (
        f"the {each.trigger} would have been caught in {_whole(each.caught)} of its uses "
        f"({_whole(each.low)} to {_whole(each.high)} as far as {each.uses:,} uses tell)"
    )


def about(expected: float) -> str:
    """A number of inputs that is only expected, in round figures."""
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
_QUIET = (
    "That is within what ordinary inputs alone would give, but a finding below says why so little "
    "may follow from it."
)
_FIRST = "Do what the findings of high severity below say, and run the audit again."
_REST = (
    "No action is needed because of these inputs. Glance at the flagged ones if there are any.",
    "Keep this report with the model, and audit new traffic before you rely on it.",
)
_LOOK = (
    "Look at the trusted examples that lie apart from their class (below, with the trusted set): "
    "inputs that carry what these carry pass as usual ones."
)
_WEAK = (
    "Do not take this for a clean model: the audit misses triggers that it planted itself. Give "
    "more trusted examples, allow a larger budget, or use another lead detector."
)


def lead_of(detectors: Sequence[DetectorSummary]) -> DetectorSummary | None:
    """The detector whose verdicts count."""
    return next((detector for detector in detectors if detector.lead), None)
