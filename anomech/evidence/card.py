"""A section for a model card, in Markdown: what was asked, what was found, how to repeat it."""

import re

from anomech.evidence.rules import ORDER
from anomech.evidence.subject import Subject
from anomech.records import Finding
from anomech.report.words import clean, clip, moment

MOST = 30
"""Findings that a card lists."""


def card(subject: Subject) -> str:
    """A run as a section of a model card."""
    source = subject.provenance
    lines = [
        f"## Security {subject.kind}",
        "",
        f"**{subject.verdict.capitalize()}**, by anomech {_plain(source.anomech)} on "
        f"{moment(subject.started)}. A finding is a reason to look; no finding does not prove that "
        "the model holds no backdoor.",
        "",
        "| | |",
        "| --- | --- |",
        *(f"| {_plain(name)} | {_plain(value)} |" for name, value in subject.facts.items()),
        f"| model digest | `{_plain(source.model)}` |",
        *([f"| trusted examples digest | `{_plain(source.reference)}` |"] * bool(source.reference)),
        f"| seed | {source.seed} |",
        "",
    ]
    ranked = sorted(
        (each for each in subject.findings if each.severity != "info"),
        key=lambda each: (bool(each.accepted), ORDER.index(each.severity)),
    )
    if ranked:
        lines += ["### Findings", "", *(_line(each) for each in ranked[:MOST])]
        if len(ranked) > MOST:
            lines.append(f"- and {len(ranked) - MOST} more in `findings.json`")
    else:
        lines.append("There are no findings.")
    lines += ["", f"`anomech {subject.kind} --plan plan.yaml` repeats it.", ""]
    return "\n".join(lines)


def _line(finding: Finding) -> str:
    text = f"- **{finding.severity}** `{finding.code}`: {_plain(finding.title)}. "
    text += _plain(finding.detail)
    return text + (f" *Accepted: {_plain(finding.accepted)}*" if finding.accepted else "")


def _plain(text: str) -> str:
    """A stranger's text that cannot mark anything up."""
    line = re.sub(r"\s+", " ", clip(clean(text), 600))
    return re.sub(r"([\\`*_{}\[\]<>#|~!&])", r"\\\1", line)
