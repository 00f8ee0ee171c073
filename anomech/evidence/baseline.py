"""A baseline file: findings that someone accepted, with a reason, bound to what they were found in.

An accepted finding fails no run and stays listed. What was accepted is bound to digests: of the
model, of the profile (the options and trusted examples that decide findings) and, for each finding,
of its rule and its evidence. Where one of them changed, nothing is accepted: it fails closed.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from anomech.evidence.subject import Subject
from anomech.kernel.errors import ConfigError, shown
from anomech.kernel.yaml_text import read_yaml_file
from anomech.records import FileRow, Finding, Provenance

VERSION = 1
WORTH = ("high", "medium")
"""Severities of findings that a new baseline lists."""

HEAD = """\
# Findings that were accepted, see docs/scan.md. Give each a reason; one without is refused.
# `expires: 2027-01-31` ends an acceptance. Any change of the model, of the options or trusted
# examples, or of what was found ends it too.
"""


@dataclass(frozen=True)
class Accepted:
    """One accepted finding.

    Attributes:
        rule: code of the finding.
        where: its file; empty if it is about the model.
        evidence: digest of the rule and of what was found.
        reason: why it was accepted.
        expires: the last day on which it counts; None if it has no end.
    """

    rule: str
    where: str
    evidence: str
    reason: str
    expires: date | None = None


@dataclass(frozen=True)
class Baseline:
    """A baseline file.

    Attributes:
        name: of the file.
        model: digest of the model.
        profile: digest of options and trusted examples.
        accepted: findings.
    """

    name: str
    model: str
    profile: str
    accepted: tuple[Accepted, ...]


def profile_of(provenance: Provenance) -> str:
    """Digest of the options and trusted examples that decide findings."""
    return _digest(provenance.options, provenance.reference)


def evidence_of(finding: Finding, provenance: Provenance, files: Sequence[FileRow]) -> str:
    """Digest of a finding's rule and of what was found: its text, its file, the inputs judged."""
    held = finding.where.partition("!")[0]
    content = next((row.sha256 for row in files if row.path == held), "") if held else ""
    judged = "" if finding.where else provenance.inputs
    said = (finding.code, finding.severity, finding.where, finding.title, finding.detail)
    return _digest(*said, content, judged)


def apply(
    baseline: Baseline,
    findings: Sequence[Finding],
    provenance: Provenance,
    files: Sequence[FileRow],
    today: date,
) -> list[Finding]:
    """Findings with those that were accepted marked, and what is to be said of the baseline.

    Args:
        baseline: read from a file.
        findings: of a run; acceptances that they have are forgotten.
        provenance: of the run.
        files: of the model.
        today: for acceptances that expire.
    """
    fresh = forgotten(findings)
    changed = [
        what
        for what, here, there in (
            ("the model", provenance.model, baseline.model),
            ("the options or trusted examples", profile_of(provenance), baseline.profile),
        )
        if here != there
    ]
    if changed:
        return [*fresh, _stale(baseline, changed)]
    known = {each.evidence: each for each in baseline.accepted}
    told: list[Finding] = []
    used: set[str] = set()
    for place, finding in enumerate(fresh):
        entry = known.get(evidence_of(finding, provenance, files))
        if entry is None or entry.rule != finding.code:
            continue
        used.add(entry.evidence)
        if entry.expires is not None and today > entry.expires:
            told.append(_expired(entry))
        else:
            fresh[place] = finding.model_copy(update={"accepted": entry.reason})
    return [*fresh, *told, *(_unused(each) for each in known.values() if each.evidence not in used)]


def forgotten(findings: Sequence[Finding]) -> list[Finding]:
    """Findings as they were before any baseline."""
    return [each.model_copy(update={"accepted": ""}) for each in findings if each.code not in OWN]


def written(subject: Subject, reason: str, expires: date | None, codes: Sequence[str]) -> str:
    """A baseline of the findings of a run, as YAML.

    Args:
        subject: the run.
        reason: for all of them; empty leaves the reasons to be filled in.
        expires: the last day on which they count; None for no end.
        codes: of findings that are taken; empty takes all of medium severity and more.

    Raises:
        ConfigError: a code that no finding has, or nothing to accept.
    """
    open_ones = [each for each in subject.findings if each.code not in OWN]
    for code in codes:
        if code not in {each.code for each in open_ones}:
            known = ", ".join(sorted({each.code for each in open_ones})) or "none"
            raise ConfigError(f"the run has no finding '{code}'; it has {known}.")
    chosen = [
        each for each in open_ones if (each.code in codes if codes else each.severity in WORTH)
    ]
    if not chosen:
        raise ConfigError("the run has no finding to accept; a baseline is not needed.")
    rows = [
        {
            "rule": each.code,
            **({"where": each.where} if each.where else {}),
            "found": each.title,
            "reason": reason or each.accepted,
            **({"expires": expires.isoformat()} if expires else {}),
            "evidence": evidence_of(each, subject.provenance, subject.files),
        }
        for each in chosen
    ]
    content = {
        "version": VERSION,
        "of": subject.title,
        "model": subject.provenance.model,
        "profile": profile_of(subject.provenance),
        "accepted": rows,
    }
    return HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)


def read(path: Path) -> Baseline:
    """Read a baseline file.

    Raises:
        ConfigError: there is none, it is damaged, or an entry has no reason.
    """
    makes = "`anomech baseline` makes one"
    found = read_yaml_file(path, f"there is no baseline file at {path}; {makes}.")
    name = shown(path.name)
    if not isinstance(found, Mapping) or found.get("version") != VERSION:
        raise ConfigError(f"{name} is no baseline file of this version; {makes}.")
    rows = found.get("accepted")
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(f"{name} has no list of accepted findings; {makes}.")
    return Baseline(
        path.name,
        _text(found, "model", name),
        _text(found, "profile", name),
        tuple(_entry(row, place, name) for place, row in enumerate(rows, start=1)),
    )


def _entry(row: Mapping[Any, Any], place: int, name: str) -> Accepted:
    where = f"entry {place} of {name}"
    unknown = set(row) - {"rule", "where", "found", "reason", "expires", "evidence"}
    if unknown:
        raise ConfigError(f"{where} has an unknown key {shown(min(unknown, key=str))}.")
    reason = row.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigError(f"{where} has no reason; say why the finding is accepted.")
    expires = row.get("expires")
    if isinstance(expires, str):
        try:
            expires = date.fromisoformat(expires)
        except ValueError:
            expires = ""
    if expires is not None and type(expires) is not date:
        raise ConfigError(f"{where} expires on no day; write it as 2027-01-31.")
    return Accepted(
        _text(row, "rule", where),
        str(row.get("where", "")),
        _text(row, "evidence", where),
        " ".join(reason.split()),
        expires,
    )


def _text(values: Mapping[Any, Any], key: str, where: str) -> str:
    found = values.get(key)
    if not isinstance(found, str) or not found:
        raise ConfigError(f"{where} has no '{key}'; `anomech baseline` writes it.")
    return found


def _stale(baseline: Baseline, changed: Sequence[str]) -> Finding:
    return Finding(
        code="baseline-stale",
        severity="medium",
        title="The baseline file is of something else, so nothing is accepted",
        detail=f"Since {shown(baseline.name)} was made, {' and '.join(changed)} changed.",
        action="Look at the findings again, then make a new one with `anomech baseline`.",
    )


def _expired(entry: Accepted) -> Finding:
    return Finding(
        code="baseline-expired",
        severity="low",
        title=f"An acceptance of {entry.rule} has expired",
        detail=f"It counted until {entry.expires}; its reason was: {entry.reason}",
        action="Mend the finding, or accept it again.",
    )


def _unused(entry: Accepted) -> Finding:
    of = f" in {entry.where}" if entry.where else ""
    return Finding(
        code="baseline-unused",
        severity="info",
        title=f"An accepted {entry.rule}{of} was not found",
        detail="What was accepted is gone, or was found in another form, which then is open.",
        action="Remove the entry from the baseline file.",
    )


OWN = ("baseline-stale", "baseline-expired", "baseline-unused")
"""Codes of what a baseline says of itself."""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
