"""SARIF 2.1.0: findings for code-scanning dashboards (OASIS standard, 2020).

A dashboard follows a finding from run to run by its rule, its path and its fingerprint, so none of
them holds a time, a number or a folder of this machine. Accepted findings stay in the file with the
reason as a suppression, unless they are asked to be left out: some dashboards show suppressed
results as open ones.
"""

import hashlib
import json
from collections import Counter
from typing import Any
from urllib.parse import quote

from anomech.evidence.rules import ATLAS, GRAVITY, Rule, rules
from anomech.evidence.subject import Subject
from anomech.records import Finding

VERSION = "2.1.0"
SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
FINGERPRINT = "anomech/v1"
LEVELS = {"high": "error", "medium": "warning", "low": "note", "info": "note"}


def sarif(subject: Subject, *, drop_accepted: bool = False) -> str:
    """The findings of a run as a SARIF log.

    Args:
        subject: the run.
        drop_accepted: leave accepted findings out.
    """
    findings = [each for each in subject.findings if not (drop_accepted and each.accepted)]
    known = rules(findings)
    places = {rule.code: place for place, rule in enumerate(known)}
    seen: Counter[tuple[str, str]] = Counter()
    results = []
    for each in findings:
        results.append(_result(subject, each, places[each.code], seen[each.code, each.where]))
        seen[each.code, each.where] += 1
    run = {
        "tool": {
            "driver": {
                "name": "anomech",
                "version": subject.provenance.anomech,
                "rules": [_rule(rule) for rule in known],
                "supportedTaxonomies": [{"name": "MITRE ATLAS", "index": 0}],
            }
        },
        "taxonomies": [_taxonomy(known)],
        "automationDetails": {"id": f"anomech/{subject.kind}/{_path(subject.place)}/"},
        "invocations": [{"executionSuccessful": True, "startTimeUtc": _utc(subject.started)}],
        "properties": {"verdict": subject.verdict, "model": subject.provenance.model},
        "results": results,
        "columnKind": "unicodeCodePoints",
    }
    return json.dumps({"$schema": SCHEMA, "version": VERSION, "runs": [run]}, indent=2) + "\n"


def _rule(rule: Rule) -> dict[str, Any]:
    tags = ["security", *(f"external/atlas/{each.lower()}" for each in rule.techniques)]
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.code.split("-")),
        "shortDescription": {"text": rule.words},
        "help": {"text": rule.action},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
        "properties": {"tags": tags, "security-severity": GRAVITY[rule.severity]},
        "relationships": [
            {
                "target": {"id": each, "toolComponent": {"name": "MITRE ATLAS", "index": 0}},
                "kinds": ["relevant"],
            }
            for each in rule.techniques
        ],
    }


def _taxonomy(known: list[Rule]) -> dict[str, Any]:
    used = sorted({each for rule in known for each in rule.techniques})
    return {
        "name": "MITRE ATLAS",
        "organization": "MITRE",
        "informationUri": "https://atlas.mitre.org",
        "shortDescription": {"text": "Techniques against systems that learn"},
        "taxa": [{"id": each, "name": ATLAS[each]} for each in used],
    }


def _result(subject: Subject, finding: Finding, rule: int, before: int) -> dict[str, Any]:
    path, _, member = (finding.where or subject.place).partition("!")
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _path(path)},
            "region": {"startLine": 1},
        }
    }
    if member:
        location["logicalLocations"] = [{"name": member, "kind": "member"}]
    made: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": f"{finding.title}. {finding.detail} {finding.action}"},
        "locations": [location],
        "partialFingerprints": {FINGERPRINT: fingerprint(finding, subject, before)},
    }
    if finding.accepted:
        accepted = {"kind": "external", "status": "accepted", "justification": finding.accepted}
        made["suppressions"] = [accepted]
    return made


def fingerprint(finding: Finding, subject: Subject, before: int) -> str:
    """What a dashboard knows a finding again by: rule, file, and how many were alike before it."""
    parts = (subject.kind, finding.code, finding.where or subject.place, str(before))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def _path(name: str) -> str:
    return quote(name, safe="/-_.~")


def _utc(stamp: str) -> str:
    return stamp.replace("+00:00", "Z")
