"""What a command says of a run."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from rich.text import Text

from anomech.cli.console import output, plain, say, say_whole
from anomech.kernel.errors import RunError
from anomech.records import Finding, Mechanism, Run, read_record
from anomech.report.words import clip

STYLES = {"high": "bold red", "medium": "yellow", "low": "cyan", "info": "dim"}
SHOWN = 5
"""Mechanisms that are listed; the report has them all."""
LONGEST = 40
"""Characters of a stranger's name that are shown."""


def earlier(out: Path) -> Run | None:
    """The record that a run folder holds before a command works on it."""
    with suppress(RunError):
        return read_record(out / "run.json", Run)
    return None


def say_reused(run: Run) -> None:
    """Say that nothing was computed."""
    say(
        f"This run was finished on {run.started} and nothing has changed since, so its results are "
        "shown as they are; choose another --out to compute them anew."
    )


def say_outcome(run: Run, decisions: Mapping[str, int], listed: Sequence[Finding]) -> None:
    """Flags, what chance gives, and findings; `decisions` says how often each came."""
    flags, unsure = decisions.get("flag", 0), decisions.get("inconclusive", 0)
    inputs = sum(decisions.values())
    judged = inputs - unsure
    text = f"{plain(run.title)}: {flags} of {_count(inputs, 'input')} flagged"
    if judged and run.control == "batch":
        text += f"; about {run.budget:.0%} of them at most are expected to be false"
    elif judged:
        text += f"; by chance alone about {judged * run.budget:.3g} at a budget of {run.budget:g}"
    if unsure:
        text += f"; {unsure} could not be judged"
    say(text + ".", style="bold")
    for finding in worst_first(listed):
        say_finding(finding)


def worst_first(listed: Sequence[Finding]) -> list[Finding]:
    """Findings by severity; those that were accepted come last."""
    order = list(STYLES)
    return sorted(listed, key=lambda each: (bool(each.accepted), order.index(each.severity)))


def say_finding(finding: Finding) -> None:
    """The severity and the title of a finding."""
    console = output()
    title = plain(finding.title) + (" (accepted by the baseline)" if finding.accepted else "")
    line = Text.assemble((f"{finding.severity:<7}", STYLES[finding.severity]), title)
    console.print(line, soft_wrap=not console.is_terminal)


def say_mechanisms(run: Run) -> None:
    """Groups of flagged inputs that respond alike."""
    for each in run.mechanisms[:SHOWN]:
        say(_mechanism(each))
    if len(run.mechanisms) > SHOWN:
        say(f"... and {len(run.mechanisms) - SHOWN} more mechanisms, see the report.")
    if not run.mechanisms:
        say("No mechanisms: the flagged inputs do not respond alike.")


def say_report(out: Path) -> None:
    """Where the run and its report are."""
    say_whole(f"Run:    {plain(out)}")
    say_whole(f"Report: {plain(out / 'report.html')}")


def say_evidence(out: Path, forms: Sequence[str]) -> None:
    """Write evidence of a finished run in these forms, and say where it is."""
    from anomech.evidence.formats import write

    for path in write(out, forms):
        say_whole(f"Evidence: {plain(path)}")


def _mechanism(each: Mechanism) -> str:
    cause = max(sorted(each.causes), key=lambda name: each.causes[name])
    names = ", ".join(clip(plain(name), LONGEST) for name in each.examples[:3])
    return (
        f"Mechanism {each.number}: {_count(each.size, 'input')}, answered {_answers(each)}, "
        f"mostly {cause}; the most central: {names}."
    )


def _answers(each: Mechanism) -> str:
    ordered = sorted(each.answers, key=lambda answer: (-each.answers[answer], answer))
    shown = ", ".join(f"'{clip(plain(answer), LONGEST)}'" for answer in ordered[:3])
    return shown + (f" and {len(ordered) - 3} others" if len(ordered) > 3 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
