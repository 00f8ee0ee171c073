"""The outcome of a scan in plain words."""

from collections.abc import Sequence
from dataclasses import dataclass

from anomech.records import ModelScan
from anomech.report.scan.folder import Folder
from anomech.report.words import count, p_value

ASKED = {
    "files": "do its files hold more than weights",
    "weights": "do its weights stand out",
    "triggers": "does a trigger lead its answers astray",
}


@dataclass(frozen=True)
class Answer:
    """The outcome of a scan for someone who reads nothing else.

    Attributes:
        question: what was asked.
        headline: the verdict.
        chance: the p-value and what it is of; empty if there is none.
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


def answer(folder: Folder) -> Answer:
    """The outcome of a scan in words."""
    scan = folder.scan
    if scan.verdict is None:
        return _open(scan)
    high = sum(each.fails for each in folder.findings)
    headline, steps, level = {
        "finding": (_headline(high), _ACT, "alarm"),
        "no finding": _nothing(scan),
        "inconclusive": ("The scan gives no verdict.", _MORE, "open"),
    }[scan.verdict]
    accepted = sum(bool(each.accepted) for each in folder.findings)
    meaning = [*scan.reasons]
    if accepted:
        meaning.append(f"{count(accepted, 'finding')} of the baseline file fail nothing.")
    if scan.verdict == "no finding":
        meaning.append(_limit(scan))
    return Answer(_question(scan), headline, _chance(scan), tuple(meaning), steps, level)


def _nothing(scan: ModelScan) -> tuple[str, tuple[str, ...], str]:
    """What is said of a scan without a finding: calm only if its p-value is one to rely on."""
    if scan.chance is not None and scan.chance.weakness:
        return "Nothing was found, on weak grounds.", (_CLEAN, *_REST), "open"
    return "Nothing was found.", _REST, "calm"


def _headline(high: int) -> str:
    return f"{count(high, 'finding')} of high severity." if high else "The model stands out."


def _question(scan: ModelScan) -> str:
    asked = [said for each, said in ASKED.items() if each in scan.asked]
    asked = asked or ["may this model be used"]
    joined = ", ".join(asked[:-1]) + (" and " if len(asked) > 1 else "") + asked[-1]
    return f"Asked of the whole model: {joined}?"


def _chance(scan: ModelScan) -> str:
    if scan.chance is None:
        return ""
    basis = f", by {count(scan.chance.networks, 'clean network')}" if scan.chance.networks else ""
    return f"p = {p_value(scan.chance.value)}: the chance that {scan.chance.of}{basis}."


def _limit(scan: ModelScan) -> str:
    left = [name for name in ("weights", "triggers") if name not in scan.asked]
    if "triggers" in left:
        return (
            "No trigger was searched, so nothing is known of the model's behavior: that takes the "
            "model and trusted examples (--model, --reference)."
        )
    return "It does not prove that the model is clean: see what a scan cannot see."


def _open(scan: ModelScan) -> Answer:
    what = {
        "running": "The scan was still going when this page was made.",
        "interrupted": "The scan was stopped before it reached a verdict.",
        "failed": "The scan failed before it reached a verdict.",
    }.get(scan.status, "There is no verdict in this folder.")
    meaning: Sequence[str] = [scan.message] if scan.message else []
    steps = (
        ("Remove what the message above names, then run the scan again.",)
        if scan.status == "failed"
        else ("Run the same command again: finished scanners are kept.",)
    )
    closing = "Nothing follows from this page about the model, good or bad."
    return Answer(_question(scan), what, "", (*meaning, closing), steps, "open")


_ACT = (
    "Do not load or deploy the model until each finding of high severity is understood.",
    "Follow what each finding says to do; a file that asks for code has a safe form to ask for.",
    "If a finding is expected and harmless, accept it by name and reason in a baseline file "
    "(anomech baseline), which fails closed when the model changes.",
)
_REST = (
    "Keep this report with the model.",
    "Before you rely on its answers, judge its traffic with anomech audit: a scan sees no inputs.",
)
_CLEAN = (
    "Give clean models of the same architecture and data if there are any (--clean-model, again "
    "and again), and look at the recovered triggers yourself."
)
_MORE = (
    "Give what the sentences beside this ask for, then run the scan again.",
    "Do not take this for a clean model: no verdict is not a good one.",
)
