"""The page as a whole: the same bytes each time, closed, escaped, small, and honest if partial."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import Tags

from anomech import records
from anomech.kernel.errors import RunError
from anomech.report.run.render import render

CAUSES = ("unexplained mechanism", "mechanism of another class", "unfamiliar input")
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "{{ 7 * 191 }}{% raw %}",
    "\x1b[2J\u202egnp.evil' onload='alert(3)",
    "</style><style>@import url(http://evil.example/a.css)",
)


def read(run: Path) -> str:
    return render(run).read_text(encoding="utf-8")


def test_twice_gives_the_same_bytes(folder, tmp_path):
    first = render(folder).read_bytes()
    assert render(folder).read_bytes() == first
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert render(copy).read_bytes() == first


def test_bytes_do_not_depend_on_the_hash_seed(folder):
    code = (
        "import pathlib, sys; from anomech.report.run.render import render; "
        "render(pathlib.Path(sys.argv[1]))"
    )
    pages = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, folder], check=True, env=environment)
        pages.append((folder / "report.html").read_bytes())
    assert pages[0] == pages[1]


def test_render_needs_no_torch():
    code = "import anomech.report.run.render, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_page_has_every_section_and_its_main_sentence(folder):
    page = Tags(read(folder))
    ids = {attrs.get("id") for _, attrs in page.tags}
    assert ids >= {
        "summary", "distributions", "gallery", "mechanisms", "localization", "trusted",
        "provenance", "limits", "glossary", "mechanism-1", "mechanism-2",
    }  # fmt: skip
    assert "18 of 60 inputs were flagged." in page.text
    assert "Known truth" in page.text
    assert "0.998" in page.text
    assert page.text.index("Two groups of inputs") < page.text.index("Some trusted examples are")
    assert page.text.count("stands alone") == 3


def test_links_and_references_lead_somewhere(folder):
    page = Tags(read(folder))
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in page.tags:
        for name in ("href", "aria-labelledby"):
            value = attrs.get(name) or ""
            if not value.startswith("data:"):
                assert {word.lstrip("#") for word in value.split()} <= set(ids)


def test_many_mechanisms_are_counted_and_no_link_is_dead(maker, tmp_path):
    page = read(maker(inputs=80, groups=(3,) * 15, lone=0, anchors=20).write(tmp_path / "run"))
    ids = {attrs["id"] for _, attrs in Tags(page).tags if "id" in attrs}
    links = {attrs["href"][1:] for tag, attrs in Tags(page).tags if tag == "a"}
    assert links <= ids
    assert "3 more mechanisms are in run.json." in page
    assert "10 mechanisms not drawn" in page


def assert_closed(page: str) -> None:
    """Nothing in the page asks for anything outside it or runs."""
    tags = Tags(page).tags
    policy = next(attrs["content"] for tag, attrs in tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not {tag for tag, _ in tags} & {
        "script", "link", "img", "iframe", "object", "embed", "form", "base", "video", "audio",
    }  # fmt: skip
    for _, attrs in tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "style")]
        assert re.match(r"#|data:image/png;base64,", attrs.get("href") or "#")
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(styles) == 1
    assert not re.search(r"url\(|@import|https?:", styles[0])


def test_page_asks_for_nothing(folder):
    page = read(folder)
    assert_closed(page)
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_stay_words(word, maker, tmp_path):
    made = maker(
        inputs=20, groups=(3,), lone=1, anchors=12,
        name=lambda role, index: f"{word}{role}{index}", answer=lambda role, index, group: word,
    )  # fmt: skip
    folder = made.write(tmp_path / "run")
    run = records.read_record(folder / "run.json", records.Run)
    mechanism = run.mechanisms[0].model_copy(
        update={"causes": {word: 3}, "explained": {word: 0.5, "head": 0.1}}
    )
    detector = run.detectors[1].model_copy(update={"name": word, "problems": (word,)})
    swapped = {
        "causes": (records.CauseNote(name=CAUSES[0], because=word, advice=word),),
        "title": word, "task": word, "started": word, "mechanisms": (mechanism,),
        "detectors": (run.detectors[0], detector),
        "trusted": run.trusted.model_copy(update={"explained": {word: 0.9, "head": 0.9}}),
        "truth": run.truth.model_copy(update={"note": word, "auroc": {word: 0.5}}),
        "provenance": run.provenance.model_copy(update={"model": word, "device": word}),
    }  # fmt: skip
    records.write_record(folder / "run.json", run.model_copy(update=swapped))
    page = read(folder)
    assert_closed(page)
    assert word not in page or not re.search("[<\"'\x1b]", word)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)
    assert "1337" not in page


def test_a_thousand_inputs_stay_below_three_megabytes(maker, noise, tmp_path):
    made = maker(
        inputs=1_000, groups=(150, 90), lone=20, anchors=100,
        picture=lambda role, index, group: noise(index, 64 if role == "input" else 32),
    )  # fmt: skip
    page = read(made.write(tmp_path / "run"))
    assert len(page.encode()) < 3_000_000
    assert page.count('<article class="card">') == 60
    assert "60 of 260 flagged inputs" in page


@pytest.mark.parametrize(
    "gone",
    ["examples.jsonl", "scores/profile.jsonl", "verdicts.jsonl", "findings.json", "previews"],
)
def test_a_missing_file_is_said(gone, folder):
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = read(folder)
    said = "preview missing" if gone == "previews" else f"{gone} is not in the run folder"
    assert said in page


@pytest.mark.parametrize("status", ["running", "interrupted", "inconclusive", "failed"])
def test_only_run_json(status, tmp_path):
    run = records.Run(
        status=status, title="Half a run", task="image classifier", budget=0.01,
        started="2026-03-02T09:14:55Z", seconds=3.0, message="The disk is <full>.",
    )  # fmt: skip
    records.write_record(tmp_path / "run.json", run)
    page = Tags(read(tmp_path)).text
    assert "The disk is <full>." in page
    assert "Nothing follows from this page" in page
    assert "That is not the same as nothing being flagged." in page


def test_too_few_trusted_examples_are_counted(folder):
    run = records.read_record(folder / "run.json", records.Run)
    trusted = run.trusted.model_copy(update={"calibration": 31, "needed": 99})
    update = {"status": "inconclusive", "trusted": trusted}
    records.write_record(folder / "run.json", run.model_copy(update=update))
    (folder / "verdicts.jsonl").unlink()
    assert "at least 99 for calibration and there were 31" in read(folder)


def test_a_bad_folder_is_one_sentence(tmp_path, folder):
    with pytest.raises(RunError, match="not a folder"):
        render(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"run\.json"):
        render(tmp_path)
    (folder / "findings.json").write_text("not json")
    with pytest.raises(RunError, match="not a list of findings"):
        render(folder)


def test_another_format_or_a_forged_detector_name_is_refused(folder):
    plain = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**plain, "schema_version": 99}))
    with pytest.raises(RunError, match="format 99"):
        render(folder)
    plain["detectors"][0]["name"] = "../verdicts"
    (folder / "run.json").write_text(json.dumps(plain))
    with pytest.raises(RunError, match="cannot be a file name"):
        render(folder)


def test_causes_are_told_as_the_detector_declares_them(maker, tmp_path):
    folder = maker(groups=(10, 5), lone=3).write(tmp_path)
    run = records.read_record(folder / "run.json", records.Run)
    declared = tuple(
        records.CauseNote(name=name, because=f"it is <odd> in way {place}", advice=f"Try {place}.")
        for place, name in enumerate((*CAUSES, "never seen"))
    )
    rate = records.FalseFlagRate(mean=0.0196, spread=0.0194, low=0.0005, high=0.0725)
    records.write_record(
        folder / "run.json", run.model_copy(update={"causes": declared, "rate": rate})
    )
    page = render(folder).read_text()
    gallery = page.split('id="gallery"')[1].split('id="mechanisms"')[0]
    assert [f"Try {place}." in gallery for place in range(4)] == [True, True, True, False]
    assert gallery.index("Try 0.") < gallery.index("Try 1.") < gallery.index("Try 2.")
    glossary = page.split('id="glossary"')[1]
    assert "<i>Never seen</i>: it is &lt;odd&gt; in way 3." in glossary
    assert "0.05 to 7.25&nbsp;% (95&nbsp;%)" in page
