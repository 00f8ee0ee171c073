"""The leaderboard as a whole: the same bytes, closed, escaped, and honest about what is missing."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import unquote

import boards
import pytest
from boards import Bench, MadeCase
from pages import Tags

from anomech import records
from anomech.kernel.errors import RunError
from anomech.records.scorecards import BenchRun, Comparison, Interval, Rates, Scorecard
from anomech.report.board import markdown, spreadsheet
from anomech.report.board.leaderboard import render_leaderboard

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "{{ 7 * 191 }}{% raw %}",
    "../../../etc/passwd",
    "\x1b[2J\u202egnp.evil\x07",
    "</style></svg><a href=javascript:alert(3)>",
)


def read(out: Path) -> str:
    return render_leaderboard(out).read_text(encoding="utf-8")


def card(out: Path, number: int, **known) -> Scorecard:
    """Write one card as a stranger's runner might: with as little as the record allows."""
    least = {"id": f"c{number}", "suite": "s", "data": "d", "network": "n", "subject": "badnets"}
    least |= {"role": "development", "seed": 0, "detector": "energy", "status": "done"}
    made = Scorecard(**{**least, **known})
    records.write_record(out / "cells" / f"c{number}" / "card.json", made)
    return made


def top(out: Path, **known) -> None:
    """Write the record of a bench that says little."""
    least = {"suite": "s", "title": "A bench", "description": "", "status": "complete"}
    least |= {"started": "2026-03-02T09:14:55Z", "seconds": 1.0, "cells": 0, "done": 0}
    least |= {"failed": 0, "versions": {}, "hardware": ""}
    records.write_record(out / "bench.json", BenchRun(**{**least, **known}))


def assert_closed(page: str) -> None:
    """Nothing in the page asks for anything outside the bench folder, or runs."""
    tags = Tags(page).tags
    policy = next(attrs["content"] for tag, attrs in tags if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert not {tag for tag, _ in tags} & {
        "script", "link", "img", "iframe", "object", "embed", "form", "base", "video", "audio",
    }  # fmt: skip
    for _, attrs in tags:
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "style")]
        assert re.match(r"#|cells/", attrs.get("href") or "#")
        assert "/../" not in unquote(attrs.get("href") or "")
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(styles) == 1
    assert not re.search(r"url\(|@import|https?:", styles[0])


def assert_linked(page: str, out: Path) -> None:
    """Ids are unique, and every link leads somewhere."""
    tags = Tags(page).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs in tags:
        for name in ("aria-labelledby", "for"):
            assert set((attrs.get(name) or "").split()) <= set(ids)
        href = attrs.get("href") or ""
        assert not href.startswith("#") or href[1:] in ids
        assert not href.startswith("cells/") or (out / unquote(href)).is_file()


def test_twice_gives_the_same_bytes_and_nothing_is_asked_for(tmp_path):
    out = boards.ood().write(tmp_path / "bench")
    first = render_leaderboard(out).read_bytes()
    copy = shutil.copytree(out, tmp_path / "elsewhere")
    assert render_leaderboard(copy).read_bytes() == first
    page = first.decode()
    assert_closed(page)
    assert_linked(page, out)
    assert not re.search(r"https?://", page)


def test_the_leaderboard_loads_no_torch():
    code = "import anomech.report.board.leaderboard, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_many_cells_are_all_there_and_the_page_stays_small(tmp_path):
    bench = boards.backdoors(
        failed=lambda detector, case, seed: "too <few> images" if detector == "strip" else ""
    )
    out = bench.write(tmp_path)
    page = read(out)
    assert_closed(page)
    assert_linked(page, out)
    assert len(page.encode()) < 600_000
    for name in ("results", "comparisons", "clean", "networks", "cost", "reading"):
        assert f'<section id="{name}"' in page
    linked = {attrs["href"] for tag, attrs in Tags(page).tags if tag == "a"}
    assert {f"cells/{one.id}/report.html" for one in bench.cards} <= linked
    assert "functional_attribution does best" in page
    assert "check: looked at only after the method was settled" in page
    assert page.count("too &lt;few&gt; images (") == 0
    assert "strip</b>: too &lt;few&gt; images" in page
    assert "0 of 20 cases" in page


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_stay_words(word, tmp_path):
    cases = [
        MadeCase(word, word, word, axis=word, value=1.0, data=word, network=word),
        MadeCase(word, word, word, axis=word, value=2.0, data="other", network="other"),
        MadeCase(word, "x", "other", axis=word, value=2.0, data=word, network=word, role="check"),
        MadeCase("clean", word, anomalous=0),
    ]
    bench = Bench(
        cases, detectors=(word, "energy"), title=word, description=word, seeds=(0, 1),
        failed=lambda detector, case, seed: word if seed == 1 and detector == word else "",
    )  # fmt: skip
    out = tmp_path / "bench"
    bench.write(out)
    run = records.read_record(out / "bench.json", BenchRun)
    told = Comparison(
        case=word, first=word, second=word, measure=word,
        difference=Interval(value=0.1, low=-0.1, high=0.2),
    )  # fmt: skip
    hostile = {"hardware": word, "versions": {word: word}, "suite": word, "started": word}
    hostile["comparisons"] = (*run.comparisons, told)
    records.write_record(out / "bench.json", run.model_copy(update=hostile))
    page = read(out)
    assert_closed(page)
    assert_linked(page, out)
    assert word not in page or not re.search("[<\"'\x1b]", word)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", page)
    assert "1337" not in page
    for drawn in re.findall(r"<svg .*?</svg>", page, re.DOTALL):
        ET.fromstring(drawn)


@pytest.mark.parametrize(
    "folder", ["<b>bold", "a\"b'c", "a b#c?d=%2e%2e", "%2e%2e", "javascript:alert(1)", "deep/er"]
)
def test_a_hostile_folder_is_linked_by_its_quoted_path(folder, tmp_path):
    top(tmp_path)
    made = card(tmp_path, 1, id="../../../etc", auroc=Interval(value=0.9, low=0.8, high=0.95))
    (tmp_path / "cells" / "c1").rename(tmp_path / "cells" / "moved")
    target = tmp_path / "cells" / folder
    target.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cells" / "moved").rename(target)
    (target / "report.html").write_text("<!doctype html>")
    page = read(tmp_path)
    assert_closed(page)
    assert_linked(page, tmp_path)
    links = [attrs["href"] for tag, attrs in Tags(page).tags if tag == "a"]
    assert f"cells/{folder}/report.html" in [unquote(link) for link in links]
    assert made.id not in page


def test_without_a_report_there_is_no_link(tmp_path):
    bench = boards.ood(reports=lambda detector, case, seed: detector != "ted")
    page = read(bench.write(tmp_path))
    links = " ".join(attrs.get("href") or "" for _, attrs in Tags(page).tags)
    assert "-knn/report.html" in links
    assert "-ted/" not in links


def test_cards_that_say_nothing_are_shown_as_not_measured(tmp_path):
    top(tmp_path)
    card(tmp_path, 1)
    card(tmp_path, 2, detector="knn", anomalous=10)
    card(tmp_path, 3, detector="ted", status="failed")
    page = read(tmp_path)
    assert "There is no result yet." in page
    assert 'title="energy on badnets: there was no anomalous input">–' in page
    assert 'title="knn on badnets: not measured">–' in page
    assert "no reason was recorded" in page
    for said in ("No clean network", "no comparisons yet", "No cost", "Nothing is known about the"):
        assert said in page
    assert "The hardware was not recorded" in page


def test_an_inconclusive_cell_is_no_failed_one(tmp_path):
    top(tmp_path)
    reason = "a budget of 0.01 needs 99 trusted examples."
    card(tmp_path, 1, detector="ted", status="inconclusive", reason=reason)
    page = read(tmp_path)
    assert f'title="ted on badnets: inconclusive: {reason}">?' in page
    assert page.count(reason) > 1  # in the footnote too
    assert "✕" not in page.replace('<span class="swatch failed" aria-hidden="true">✕</span>', "")


def test_numbers_beyond_all_measure_do_not_stop_the_page(tmp_path):
    bench = boards.steps(detectors=("knn",))
    out = bench.write(tmp_path)
    for one in bench.cards:
        rates = tuple(
            rate.model_copy(update={"fpr": 1e308, "tpr": -1e308, "der": 1e308})
            for rate in one.rates
        )
        far = {"rates": rates, "normal": -5, "accuracy": 1e308, "value": (one.value or 0) * 1e305}
        records.write_record(out / "cells" / one.id / "card.json", one.model_copy(update=far))
    top(
        out,
        comparisons=[
            Comparison(
                case="mean", first="a", second="b", measure="DER",
                difference=Interval(value=0, low=-1e308, high=1e308),
            )
        ],
    )  # fmt: skip
    assert_closed(read(out))


def test_zero_cells(tmp_path):
    top(tmp_path, status="running", title="Just begun")
    page = read(tmp_path)
    assert "Just begun" in page
    assert "No cell of this bench is finished yet." in page
    assert "Still running" in page


def test_one_detector_is_not_called_the_best(tmp_path):
    page = read(boards.ood(detectors=("knn",)).write(tmp_path))
    assert "does best" not in page
    assert "knn: DER 0." in page
    assert 'tile h9 best"' not in page


def test_a_damaged_card_is_named_and_the_rest_is_shown(tmp_path):
    out = boards.ood().write(tmp_path)
    (out / "cells" / "0001-functional_attribution" / "card.json").write_text('{"id": "<b>"}')
    page = read(out)
    assert "cells/0001-functional_attribution/card.json" in page
    assert "does not have the form of this version" in page
    assert "5 of 6 cases" in page


def test_a_bad_folder_is_one_sentence(tmp_path):
    with pytest.raises(RunError, match="not a folder"):
        render_leaderboard(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"bench\.json"):
        render_leaderboard(tmp_path)
    top(tmp_path, schema_version=99)
    with pytest.raises(RunError, match="format 99"):
        render_leaderboard(tmp_path)


def test_only_clean_networks_are_about_false_flags_alone(tmp_path):
    page = read(Bench([MadeCase("clean", anomalous=0)]).write(tmp_path))
    assert "only false flags on clean networks" in page
    assert 'id="show-fpr" checked' in page
    assert "show-der" not in page.split("</style>")[1]


def test_conditions_of_a_clean_network_go_by_their_own_names(tmp_path):
    page = read(boards.adversarial().write(tmp_path))
    assert "PGD 8/255</span></th>" in page
    assert "clean · PGD" not in page.split('id="networks"')[0]


def test_curves_are_drawn_for_axes_alone(tmp_path):
    bench = boards.steps()
    bench.cases = [case for case in bench.cases if case.axis != "alignment strength"]
    page = read(bench.write(tmp_path / "steps"))
    assert "(in equal steps)" in page
    assert "trusted examples (logarithmic)" in page
    assert page.count('id="curve-') == 2 * 8  # title and description: two axes, four measures
    assert "1 detector with a lower mean is not drawn" in page
    assert 'id="curves"' not in read(boards.ood(detectors=("knn",)).write(tmp_path / "ood"))


def rated(der: float) -> Rates:
    return Rates(threshold="calibrated", budget=0.01, filtered=False, fpr=0.01, der=der)


def test_cases_of_several_data_sets_are_told_apart_in_markdown(tmp_path):
    cards = [
        card(tmp_path, number, data=data, subject="x", rates=(rated(der),))
        for number, (data, der) in enumerate([("digits", 0.6), ("mnist", 0.8)])
    ]
    detectors = markdown.detectors_of(cards)
    rows = markdown.rows_of(cards, markdown.listings(0.01)[0], detectors)
    assert [(row.name, row.values) for row in rows] == [
        ("x · digits", (0.6,)), ("x · mnist", (0.8,)),
    ]  # fmt: skip
    assert len(spreadsheet.comma_separated(cards).splitlines()) == 1 + 2
