"""A bench of screens: known poison, what screens make of it, and training without it."""

import pytest

from anomech.bench.screens.runner import run_screens
from anomech.bench.screens.suite import as_yaml, from_mapping
from anomech.bench.suite_files import read_suite
from anomech.kernel.errors import ConfigError, RunError
from anomech.kernel.yaml_text import read_yaml
from anomech.report.screens.render import headline, markdown, means, tables

PLAN = {
    "name": "tiny",
    "data": "digits",
    "network": "digits",
    "recipe": {"epochs": 12, "batch": 64, "peak": 0.1, "augment": "none"},
    "cases": {"patch": {"use": "badnets", "ratio": 0.1, "size": 2}, "clean": {"use": "none"}},
    "check": ["clean"],
    "screens": {
        "scan": {},
        "quantum_entropy": {},
        "two": {"use": "activation_clustering", "components": 3, "rule": "smaller"},
    },
}


@pytest.fixture(scope="module")
def suite():
    return from_mapping(PLAN)


@pytest.fixture(scope="module")
def finished(suite, tmp_path_factory):
    place = tmp_path_factory.mktemp("screens")
    told = []
    return place, run_screens(suite, place / "out", zoo=place / "zoo", told=told.append), told


def test_every_screen_is_run_on_every_set(finished):
    _, bench, told = finished
    assert bench.status == "complete"
    assert {(c.case, c.screen) for c in bench.cards} == {
        (case, screen) for case in ("patch", "clean") for screen in PLAN["screens"]
    }
    assert told == list(bench.cards)
    roles = {case.case: case.role for case in bench.cases}
    assert roles == {"patch": "development", "clean": "check"}


def test_training_without_all_poison_undoes_the_attack(finished):
    _, bench, _ = finished
    patch, clean = bench.cases
    assert patch.poisoned == 81
    assert patch.success > 0.8
    assert patch.success_without < 0.2
    assert patch.accuracy_without > 0.8
    assert (clean.poisoned, clean.success, clean.success_without) == (0, None, None)


def test_a_good_decision_undoes_it_too_and_a_ranking_decides_nothing(finished):
    _, bench, _ = finished
    cards = {(card.case, card.screen): card for card in bench.cards}
    scan = cards["patch", "scan"]
    assert scan.f1 > 0.8
    assert scan.success < 0.3
    ranked = cards["patch", "quantum_entropy"]
    assert ranked.auroc > 0.7
    assert (ranked.f1, ranked.success, ranked.false) == (None, None, None)
    two = cards["clean", "two"]
    assert two.auroc is None
    assert 0.1 < two.false < 0.5


def test_what_is_done_is_not_run_again(finished, suite):
    place, bench, _ = finished
    told = []
    again = run_screens(suite, place / "out", zoo=place / "zoo", told=told.append)
    assert told == []
    assert again.cards == bench.cards


def test_patterns_choose_cells(suite, finished, tmp_path):
    place, _, _ = finished
    some = run_screens(suite, tmp_path / "out", zoo=place / "zoo", patterns=["patch/quantum*"])
    assert [(card.case, card.screen) for card in some.cards] == [("patch", "quantum_entropy")]
    assert some.status == "interrupted"


def test_another_suite_in_the_folder_is_refused(suite, finished):
    place, _, _ = finished
    other = from_mapping({**PLAN, "seed": 1})
    with pytest.raises(RunError, match="holds another form of this suite"):
        run_screens(other, place / "out", zoo=place / "zoo")


def test_tables_and_page_say_the_same(finished):
    place, bench, _ = finished
    page = (place / "out" / "report.html").read_text()
    text = (place / "out" / "screens.md").read_text()
    assert text == markdown(bench)
    for table in tables(bench):
        assert table.title in page
        assert f"## {table.title}" in text
        assert all(len(row) == len(table.head) for row in table.rows)
    assert set(means(bench, lambda card: card.auroc)) == set(PLAN["screens"])
    assert set(means(bench, lambda card: card.f1)) == {"scan", "two"}
    assert "ranks best" in headline(bench)


def test_a_suite_replays_itself_and_the_shipped_one_is_whole(suite):
    assert from_mapping(read_yaml(as_yaml(suite), "it")) == suite
    shipped = from_mapping(read_suite("screening-small"))
    assert set(shipped.check) < set(shipped.cases)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cases": {}}, "no cases or no screens"),
        ({"check": ["nothing"]}, "none of the cases"),
        ({"cases": {"a": {"use": "fgsm"}}, "check": []}, "plants nothing"),
        ({"cases": {"a": {"use": "input_aware"}}, "check": []}, "leaves no training set to screen"),
        ({"screens": {"scam": {}}}, "did you mean 'scan'"),
    ],
)
def test_suites_that_cannot_be_run_are_refused(change, why):
    with pytest.raises(ConfigError, match=why):
        from_mapping({**PLAN, **change})
