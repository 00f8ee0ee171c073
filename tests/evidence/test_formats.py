"""Evidence has the form that its readers ask for, and says the same of the same run."""

import json
from pathlib import Path
from xml.etree import ElementTree

import cyclonedx.schema
import jsonschema
import pytest
import referencing

from anomech.evidence import formats
from anomech.evidence.rules import ATLAS, techniques
from anomech.evidence.sarif import fingerprint
from anomech.evidence.subject import read
from anomech.kernel.errors import RunError

SCHEMAS = Path(cyclonedx.schema.__file__).parent / "_res"
HOSTILE = "<script>|`x`\x1b[31m\u202e]]>"


def made(folder, name):
    (path,) = formats.write(folder, [name])
    return path.read_text()


def test_sarif_has_stable_names_for_everything(scanned, found):
    folder = scanned(
        found(), found(), found(where="z.zip!w p.pkl"),
        found("scanner-neural-cleanse", where="", title="class 'cat' stands out"),
        found("other-format", "low", accepted="we know"),
    )  # fmt: skip
    log = json.loads(made(folder, "sarif"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == sorted({rule["id"] for rule in rules})
    results = run["results"]
    for result in results:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        (place,) = result["locations"]
        uri = place["physicalLocation"]["artifactLocation"]["uri"]
        assert not uri.startswith("/")
        assert " " not in uri
    uris = [r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for r in results]
    assert uris == ["a/w.pkl", "a/w.pkl", "z.zip", "my%20model", "a/w.pkl"]
    marks = [result["partialFingerprints"]["anomech/v1"] for result in results]
    assert len(set(marks)) == len(marks)
    assert [result["level"] for result in results] == ["error"] * 4 + ["note"]
    (reason,) = results[-1]["suppressions"]
    assert reason["justification"] == "we know"
    assert "suppressions" not in results[0]
    assert run["automationDetails"]["id"] == "anomech/scan/my%20model/"
    targets = {each["target"]["id"] for rule in rules for each in rule["relationships"]}
    assert targets == {taxon["id"] for taxon in run["taxonomies"][0]["taxa"]} <= set(ATLAS)


def test_fingerprints_survive_other_numbers_and_times(scanned, found):
    first = read(scanned(found(), name="a"))
    later = read(
        scanned(found(detail="It names 3."), name="b", started="2027-01-01T00:00:00+00:00")
    )
    marks = [fingerprint(each.findings[0], each, 0) for each in (first, later)]
    assert marks[0] == marks[1] != fingerprint(found(where="b.pkl"), first, 0)


def test_sarif_can_leave_accepted_findings_out(scanned, found):
    folder = scanned(found(accepted="we know"), found("other-format", "low"))
    (run,) = json.loads(made(folder, "sarif-open"))["runs"]
    assert [result["ruleId"] for result in run["results"]] == ["other-format"]


def test_junit_counts_what_fails(scanned, found):
    folder = scanned(
        found(title=HOSTILE, detail=HOSTILE), found(accepted="we know"), found("a", "low"),
        verdict="inconclusive",
    )  # fmt: skip
    (suite,) = ElementTree.fromstring(made(folder, "junit"))
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert "posix" in ElementTree.tostring(suite, "unicode")


def validator():
    names = ("bom-1.6", "spdx", "jsf-0.82")
    schemas = [json.loads((SCHEMAS / f"{n}.SNAPSHOT.schema.json").read_text()) for n in names]
    pairs = [(each["$id"], referencing.Resource.from_contents(each)) for each in schemas]
    registry = referencing.Registry().with_resources(pairs)
    return jsonschema.Draft7Validator(
        schemas[0], registry=registry, format_checker=jsonschema.FormatChecker()
    )


def test_cyclonedx_is_valid_and_names_files_and_findings(scanned, found):
    folder = scanned(found(), found("a", "info", where="z.zip!x"), found("b", accepted="we know"))
    text = made(folder, "cyclonedx")
    bill = json.loads(text)
    assert [error.message for error in validator().iter_errors(bill)] == []
    assert bill["metadata"]["component"]["type"] == "machine-learning-model"
    assert [each["hashes"][0]["content"] for each in bill["components"]] == ["1" * 64, "2" * 64]
    affected = [each["affects"][0]["ref"] for each in bill["vulnerabilities"]]
    assert affected == ["file-0", "model", "file-0"]
    assert bill["vulnerabilities"][2]["analysis"]["response"] == ["will_not_fix"]
    assert made(folder, "cyclonedx") == text
    assert list(validator().iter_errors({**bill, "specVersion": "9", "x": 1}))


def test_a_card_marks_nothing_up_that_is_not_its_own(scanned, found):
    text = made(scanned(found(title=HOSTILE, detail="a\n# b")), "card")
    assert "<script>" not in text
    assert "\x1b" not in text
    assert "\n# b" not in text
    assert "| verdict | finding |" in text
    assert "`abc`" in text


def test_unfinished_runs_give_no_evidence(scanned, tmp_path):
    with pytest.raises(RunError, match="run its command again"):
        formats.write(scanned(verdict=None, provenance=None, status="failed"), ["card"])
    assert formats.write(tmp_path / "nothing", []) == []


def test_techniques_are_known():
    assert techniques("unsafe-pickle") == ("AML.T0011.000",)
    assert techniques("scanner-neural-cleanse") == ("AML.T0018.000",)
    assert techniques("scanner-left-out") == techniques("other-format") == ()
