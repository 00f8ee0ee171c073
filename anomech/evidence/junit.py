"""JUnit XML: findings as tests, for whatever shows tests of a build.

A finding that fails a run is a failed test, an accepted one is skipped with its reason, all others
passed with their text. The verdict is a test of its own; without one it is an error.
"""

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from anomech.evidence.subject import Subject
from anomech.records import Finding
from anomech.report.words import clean


def junit(subject: Subject) -> str:
    """The findings of a run as one suite of tests."""
    suite = Element("testsuite", name=f"anomech {subject.kind}", timestamp=subject.started[:19])
    suite.set("time", f"{subject.seconds:.3f}")
    properties = SubElement(suite, "properties")
    for name, value in {"model": subject.provenance.model, **subject.facts}.items():
        SubElement(properties, "property", name=_plain(name), value=_plain(value))
    _verdict(suite, subject)
    for finding in subject.findings:
        _case(suite, finding)
    for word, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(word, str(len(suite.findall(f"testcase/{tag}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    suites = Element("testsuites")
    suites.append(suite)
    indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(suites, "unicode") + "\n"


def _verdict(suite: Element, subject: Subject) -> None:
    case = SubElement(suite, "testcase", classname="anomech", name="verdict")
    if subject.verdict == "inconclusive":
        SubElement(case, "error", message="there is too little evidence for a verdict")
    SubElement(case, "system-out").text = _plain(subject.verdict)


def _case(suite: Element, finding: Finding) -> None:
    name = finding.title if finding.where in finding.title else f"{finding.where}: {finding.title}"
    case = SubElement(suite, "testcase", classname=f"anomech.{finding.code}", name=_plain(name))
    text = _plain(f"{finding.severity}: {finding.detail} {finding.action}")
    if finding.accepted:
        SubElement(case, "skipped", message=_plain(f"accepted: {finding.accepted}"))
    elif finding.fails:
        SubElement(case, "failure", message=_plain(finding.title), type=finding.code).text = text
    else:
        SubElement(case, "system-out").text = text


def _plain(text: str) -> str:
    """Text that XML can hold."""
    kept = (each for each in clean(text) if each in "\t\n" or 32 <= ord(each) < 0xD800 or (
        ord(each) >= 0xE000 and ord(each) not in (0xFFFE, 0xFFFF)
    ))  # fmt: skip
    return "".join(kept)
