"""Rules by their stable code: in words, how grave they are to a machine, and where ATLAS has one.

ATLAS is MITRE's catalog of techniques against machine learning (atlas.mitre.org, as of 2025). A
technique stands where a finding is what that technique leaves behind, and nowhere else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anomech.records import Finding, Severity

ATLAS: Mapping[str, str] = {
    "AML.T0010.003": "AI Supply Chain Compromise: Model",
    "AML.T0011.000": "User Execution: Unsafe AI Artifacts",
    "AML.T0011.001": "User Execution: Malicious Package",
    "AML.T0018.000": "Manipulate AI Model: Poison AI Model",
    "AML.T0018.002": "Manipulate AI Model: Embed Malware",
    "AML.T0029": "Denial of AI Service",
    "AML.T0043.004": "Craft Adversarial Data: Insert Backdoor Trigger",
}
"""Techniques that findings are mapped to."""

_TECHNIQUES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        (
            *("unsafe-pickle", "whole-model-pickle", "hostile-pickle", "odd-pickle"),
            *("program-in-weights", "remote-code", "suspicious-code", "template-code"),
            *("yaml-code", "keras-code", "tensorflow-code", "unsafe-checkpoint", "object-array"),
        ),
        ("AML.T0011.000",),
    ),
    **dict.fromkeys(("program-file", "hidden-archive", "disguised"), ("AML.T0018.002",)),
    **dict.fromkeys(("broken-signature", "partial-signature"), ("AML.T0010.003",)),
    "outside-package": ("AML.T0011.001",),
    "archive-bomb": ("AML.T0029",),
    "odd-tokenizer": ("AML.T0018.000",),
    **dict.fromkeys(("excess-flags", "shared-mechanism"), ("AML.T0018.000", "AML.T0043.004")),
}

SCANNER = "scanner-"
"""How codes of scanners that find something begin."""

GRAVITY: Mapping[Severity, str] = {"high": "8.0", "medium": "5.0", "low": "2.0", "info": "0.0"}
"""Severities as the score that SARIF viewers sort by."""

ORDER: tuple[Severity, ...] = ("high", "medium", "low", "info")


@dataclass(frozen=True)
class Rule:
    """What findings of one code have in common.

    Attributes:
        code: stable.
        words: the code as words.
        severity: the worst among its findings.
        action: what to do, as one of its findings says.
        techniques: ids of ATLAS.
    """

    code: str
    words: str
    severity: Severity
    action: str
    techniques: tuple[str, ...]


def techniques(code: str) -> tuple[str, ...]:
    """Techniques of ATLAS that a finding of this code may be the trace of."""
    if code in _TECHNIQUES:
        return _TECHNIQUES[code]
    spoken = code.startswith(SCANNER) and code not in ("scanner-left-out", "scanner-unsound")
    return ("AML.T0018.000",) if spoken else ()


def rules(findings: Sequence[Finding]) -> list[Rule]:
    """The rules of some findings, in the order of their codes."""
    found: dict[str, list[Finding]] = {}
    for each in findings:
        found.setdefault(each.code, []).append(each)
    return [
        Rule(
            code=code,
            words=code.replace("-", " ").capitalize(),
            severity=min((each.severity for each in some), key=ORDER.index),
            action=some[0].action,
            techniques=techniques(code),
        )
        for code, some in sorted(found.items())
    ]
