"""The page of a scan: closed, escaped, the same bytes each time, and honest if partial."""

import io
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Tags
from PIL import Image

from anomech import records
from anomech.kernel.errors import RunError
from anomech.report.scan.render import render

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7 * 191 }}{% raw %}",
    "\x1b[2J\u202egnp.evil' onload='alert(3)",
)
SOURCE = records.Provenance(
    anomech="0.1.0", python="3.12.0", torch="2.10.0", numpy="2.0.0", device="cpu", threads=1,
    seed=0, model="abc", parameters=10, watched=0, reference="def", inputs="ghi",
)  # fmt: skip


def scanner(name="neural_cleanse", word="cat", value=0.001, **given):
    trigger = records.Recovered(
        pictures={f"trigger {word}": "previews/a.png"}, success=0.9, held_out=40, clean_success=0.1
    )
    rows = tuple(
        records.Compared(name=f"{word} {place}", statistic=5.0 - 2 * place, group=place,
                         trigger=None if place else trigger)
        for place in range(20)
    )  # fmt: skip
    chance = None if value is None else records.Chance(value=value, of=f"it is so {word}")
    told = {"asked": "triggers", "status": "done", "compared": rows, "chance": chance}
    return records.ScannerResult(name=name, **{**told, **given})


def finding(word="it asks", **given):
    told = {"code": "unsafe-pickle", "severity": "high", "title": word, "detail": word,
            "action": word, "where": word}  # fmt: skip
    return records.Finding(**{**told, **given})


@pytest.fixture
def made(tmp_path):
    """Writes the folder of a scan in which every word is the given one."""

    def make(word="plain", findings=None, **given):
        folder = tmp_path / "scan"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "previews").mkdir(parents=True)
        stream = io.BytesIO()
        Image.new("L", (8, 8), 200).save(stream, "PNG")
        (folder / "previews" / "a.png").write_bytes(stream.getvalue())
        row = records.FileRow(path=word, kind=word, size=3, sha256="1" * 64, notes=(word,))
        records.write_rows(folder / "files.jsonl", [row])
        listed = [finding(word), finding(word, accepted=word)] if findings is None else findings
        records.write_findings(folder / "findings.json", listed)
        told = {
            "status": "complete", "verdict": "finding", "title": word, "task": word, "level": 0.05,
            "started": "2026-11-26T04:00:00+00:00", "seconds": 1.5, "asked": ("files", "triggers"),
            "chance": records.Chance(value=0.01, of=word, weakness=word, networks=3),
            "suspected": (word,), "reasons": (word,), "provenance": SOURCE, "looked_through": 1,
            "scanners": (scanner(word=word), scanner("other", word, None, problems=(word,)),
                         scanner("third", status="left out", why=word)),
            **given,
        }  # fmt: skip
        records.write_record(folder / "scan.json", records.ModelScan(**told))
        return folder

    return make


def read(folder: Path) -> str:
    return render(folder).read_text(encoding="utf-8")


def test_it_has_every_section_and_says_the_same_twice(made):
    folder = made()
    first = read(folder)
    assert read(folder) == first
    page = Tags(first)
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert ids >= {"summary", "findings", "scanners", "files", "provenance", "limits"}
    for words in (
        "1 finding of high severity.",
        "Accepted by the baseline file",
        "cat",
        "1111",
        "Leads 90\u00a0% of 40 held-out trusted inputs there, and 10\u00a0% on clean",
    ):
        assert words.replace("cat", "plain") in page.text, words
    assert "8 are in scan.json" in page.text or "8 more are in scan.json" in page.text


@pytest.mark.parametrize("word", HOSTILE)
def test_no_word_of_the_model_is_markup(made, word):
    text = read(made(word))
    page = Tags(text)
    assert not any(tag in ("script", "img", "iframe") for tag, _ in page.tags)
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "1337" not in text  # nothing in it is taken for a template


def test_the_page_asks_for_nothing(made):
    page = Tags(read(made()))
    for tag, attrs in page.tags:
        for name in ("src", "href"):
            assert (attrs.get(name) or "#").startswith(("#", "data:")), (tag, attrs)
    policies = [a.get("content") for _, a in page.tags if a.get("http-equiv")]
    assert policies[0].startswith("default-src 'none'")


def test_only_a_finding_is_drawn_as_one(made):
    calm = read(made(findings=[]))
    assert '<rect class="flagged"' not in calm
    alarm = read(made(findings=[finding(code="scanner-neural-cleanse", where="")]))
    assert alarm.count('<rect class="flagged"') == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"verdict": "no finding"}, "Nothing was found, on weak grounds."),
        ({"verdict": "no finding", "chance": None}, "Nothing was found."),
        ({"verdict": "no finding", "asked": ("files",)}, "No trigger was searched"),
        ({"verdict": "inconclusive"}, "The scan gives no verdict."),
        ({"verdict": None, "status": "failed", "message": "It broke."}, "It broke."),
        ({"verdict": None, "status": "running", "scanners": ()}, "still going"),
        ({"verdict": None, "status": "interrupted", "provenance": None}, "stopped before"),
    ],
)
def test_every_outcome_is_said(made, given, words):
    assert words in Tags(read(made(findings=[], **given))).text


def test_what_is_not_there_or_was_changed_is_said(made):
    folder = made(files={"findings.json": "0" * 64})
    assert "were changed since the scan" in Tags(read(folder)).text
    (folder / "files.jsonl").unlink()
    assert "no file can be listed" in Tags(read(folder)).text
    (folder / "scan.json").unlink()
    with pytest.raises(RunError, match="is it a run folder"):
        render(folder)
    with pytest.raises(RunError, match="is not a folder"):
        render(folder / "scan.json")


def test_it_needs_no_torch():
    code = "import anomech.report.scan.render, anomech.evidence.formats, sys; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
