"""A suite of whole networks is run once, graded by the truth, and told on a page."""

import numpy as np
import pytest

from anomech.bench.models import suite as suites
from anomech.bench.models.grading import COMBINED, graded
from anomech.bench.models.runner import run_models
from anomech.bench.suite_files import read_suite, shipped
from anomech.cli.other_benches import models, other_kind
from anomech.kernel.errors import ConfigError
from anomech.kernel.yaml_text import read_yaml
from anomech.records.modelcards import CLEAN, ModelCard, NetworkCard

SMALL = {
    "name": "tiny",
    "data": "digits",
    "network": "digits",
    "recipe": {"epochs": 2, "batch": 64, "peak": 0.1, "augment": "none"},
    "trusted": 100,
    "scanners": {"deep_inspect": {"each": 1, "recover": 2, "rounds": 2}},
    "subjects": {
        "patch": {"attacks": {"badnets": {"ratio": 0.3, "size": 3}}, "least_success": 0.0},
        "nothing": {},
        "refused": {"attacks": {"badnets": {"ratio": 0.0}}, "least_success": 0.99},
    },
}


def test_shipped_suites_hold_together():
    for name in shipped(suites.ROOM):
        suite = suites.from_mapping(read_suite(name, suites.ROOM))
        made = list(suites.networks(suite))
        assert len({each.name for each in made}) == len(made)
        assert {each.spec.role for each in made} == {"check", "development"}
        assert {each.kind for each in made} > {CLEAN}
        assert other_kind(name) is models
    assert other_kind("smoke") is None


def test_the_zoo_of_digits_is_as_large_as_was_asked_and_half_of_it_is_check():
    made = list(suites.networks(suites.from_mapping(read_suite("scan-small", suites.ROOM))))
    kinds = [each.kind for each in made]
    assert kinds.count(CLEAN) >= 20 <= len(kinds) - kinds.count(CLEAN)
    checks = sum(each.spec.role == "check" for each in made)
    assert abs(checks - len(made) / 2) <= 1


def test_a_network_may_be_of_another_kind_than_the_suite_s():
    other = {"network": {"use": "mlp", "side": 8}}
    suite = suites.from_mapping({**SMALL, "subjects": {"usual": {}, "other": other}})
    usual, made = suites.networks(suite)
    assert (usual.network.label, made.network.label) == ("digits", "mlp side=8")
    assert suites.from_mapping(read_yaml(suites.as_yaml(suite), "suite")) == suite


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"subjects": {}}, "has no subjects"),
        ({"combined": ["ban"]}, "combines 'ban'"),
        ({"scanners": {"deepinspect": {}}}, "did you mean 'deep_inspect'"),
        ({"subjects": {"a": {"attacks": {"fgsm": {}}}}}, "plants nothing"),
    ],
)
def test_bad_suites_are_one_sentence(change, said):
    with pytest.raises(ConfigError, match=said):
        suites.from_mapping({**SMALL, **change})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("models")


def run(folder, told=lambda card: None, **given):
    suite = suites.from_mapping(SMALL)
    return run_models(suite, folder / "bench", zoo=folder / "zoo", told=told, **given)


def test_a_suite_is_run_once_and_told(folder):
    first, second = [], []
    bench = run(folder, first.append)
    assert [(each.subject, each.status) for each in bench.networks] == [
        ("patch", "done"),
        ("nothing", "done"),
        ("refused", "failed"),
    ]
    assert bench.networks[0].target == 0
    assert {card.network for card in first} == {"patch-seed0", "nothing-seed0"}
    assert run(folder, second.append).status == "complete"
    assert second == []
    page = (folder / "bench/leaderboard.html").read_text()
    assert "patch-seed0" in page
    assert "<script" not in page
    assert "# tiny" in (folder / "bench/leaderboard.md").read_text()


def test_a_pattern_that_matches_nothing_is_refused(folder):
    with pytest.raises(ConfigError, match="no cell matches 'x'"):
        run(folder, patterns=["x"])


def cards(rng, scanner, shift):
    """Thirty clean networks and ten attacked ones of each role, and what a scanner says."""
    networks, found = [], []
    for place in range(80):
        clean, role = place % 4 != 0, "check" if place >= 40 else "development"
        name = f"n{place}"
        kind = CLEAN if clean else "dirty label"
        target = None if clean else 1
        networks.append(
            NetworkCard(
                name=name, subject="s", kind=kind, role=role, seed=0, target=target, epoch_seconds=2
            )
        )
        statistic = rng.normal(0, 1, 3)
        statistic[1] += 0 if clean else shift
        found.append(
            ModelCard(
                network=name,
                scanner=scanner,
                status="done",
                groups=(0, 1, 2),
                statistic=tuple(statistic),
                seconds=4,
            )
        )
    return networks, found


def test_grades_are_those_of_the_truth():
    suite = suites.from_mapping({**SMALL, "scanners": {"ban": {}, "tabor": {}}})
    networks, strong = cards(np.random.default_rng(0), "ban", 8.0)
    _, blind = cards(np.random.default_rng(1), "tabor", 0.0)
    standings, chances = graded(networks, [*strong, *blind], suite)
    known = {(each.scanner, each.role): each for each in standings}
    good, bad = known["ban", "check"], known["tabor", "check"]
    assert (good.attacked, good.clean, good.epochs) == (10, 30, 2)
    assert good.auroc > 0.99 > 0.8 > bad.auroc
    assert good.brier < 0.05 < bad.brier
    assert good.target_right == 1
    assert good.findings["all"] == 1
    assert good.false_findings <= 0.2
    assert known[COMBINED, "check"].findings["dirty label"] == 1
    assert set(chances["n0"]) == {"ban", "tabor", COMBINED}
