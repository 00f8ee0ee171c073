"""A bench of repairs measures what it says, each cell once, and its tables are means."""

import pytest
import yaml

from anomech.bench.repairs.runner import run_repairs
from anomech.bench.repairs.suite import ROOM, as_yaml, cells, from_mapping
from anomech.bench.repairs.work import effectiveness
from anomech.bench.suite_files import read_suite, shipped
from anomech.kernel.errors import ConfigError
from anomech.records import RepairCard
from anomech.report.board.repairs import means

TINY = {
    "name": "tiny",
    "recipe": {"epochs": 8, "batch": 64, "peak": 0.1, "augment": "none"},
    "flagged": 10,
    "poisons": [2],
    "subjects": {"BadNets": {"attacks": {"badnets": {"size": 2}}, "least_success": 0.5}},
    "trusted": {"few": {"share": 0.1}, "dirty": {"contaminated": 0.1, "methods": ["clp"]}},
    "methods": {"clp": {}, "constrained_unlearning": {"relearning": {"steps": 60, "epochs": 1}}},
}


def test_cells_are_all_combinations_that_a_trusted_set_asks_for():
    suite = from_mapping(TINY)
    assert [each.id for each in cells(suite)] == [
        "BadNets/few/s0/clp",
        "BadNets/few/s0/constrained_unlearning",
        "BadNets/dirty/s0/clp",
    ]
    assert from_mapping(yaml.safe_load(as_yaml(suite))) == suite
    for name in shipped(ROOM):
        assert list(cells(from_mapping(read_suite(name, ROOM))))


def test_a_cell_is_measured_once_and_its_numbers_belong_together(tmp_path):
    suite, told = from_mapping(TINY), []
    given = {"zoo": tmp_path / "zoo", "data": None}
    done = run_repairs(suite, tmp_path / "out", **given, told=told.append)
    assert len(told) == 3
    unlearned = next(each for each in done.cards if each.method == "constrained_unlearning")
    assert unlearned.success < unlearned.success_before - 0.3
    assert unlearned.der == effectiveness(
        unlearned.success_before, unlearned.success, unlearned.accuracy_before, unlearned.accuracy
    )
    assert [count for count, _ in unlearned.relearning] == [0, 2]
    assert unlearned.relearning[0][1] == unlearned.success
    again = run_repairs(suite, tmp_path / "out", **given, told=told.append)
    assert len(told) == 3
    assert again.cards == done.cards
    assert "<script" not in done.page.read_text()
    with pytest.raises(ConfigError, match="no cell"):
        run_repairs(suite, tmp_path / "out", **given, patterns=["*/nothing"])


def test_a_row_may_have_a_name_of_its_own_and_choosing_is_one(tmp_path):
    rows = {
        "gentle": {"use": "clp", "deviations": 5.0},
        "auto": {"methods": ["clp", "fine_tuning"], "choosing": 0.3},
    }
    trusted = {"some": {"share": 0.1}, "few": {"share": 0.005, "methods": ["auto"]}}
    suite = from_mapping({**TINY, "methods": rows, "trusted": trusted})
    assert from_mapping(yaml.safe_load(as_yaml(suite))) == suite
    done = run_repairs(suite, tmp_path / "out", zoo=tmp_path / "zoo", data=None).cards
    gentle, auto, few = done
    assert (gentle.method, gentle.status, auto.status) == ("gentle", "done", "done")
    assert sorted(auto.facts.values()) == [0.0, 1.0]
    assert set(auto.facts) == {"clp was chosen", "fine_tuning was chosen"}
    assert few.status == "failed"
    assert "fewer than 10 trusted" in few.why


def test_effectiveness_counts_no_gain_of_accuracy():
    assert effectiveness(1.0, 0.0, 0.9, 0.9) == 1
    assert effectiveness(1.0, 1.0, 0.9, 0.95) == 0.5
    assert effectiveness(0.8, 0.3, 0.9, 0.7) == pytest.approx(0.65)
    assert effectiveness(0.5, 0.6, 0.9, 0.9) == 0.5


def test_a_network_that_could_not_be_repaired_counts_as_no_effect():
    def card(method, role, der):
        status = "done" if der is not None else "failed"
        base = {"id": "i", "subject": "s", "trusted": "t", "seed": 0}
        return RepairCard(**base, method=method, role=role, status=status, der=der)

    best, other = means(
        [card("a", "check", 0.9), card("a", "development", None), card("b", "development", 0.6)]
    )
    assert (best.method, best.der, best.check, best.worst) == ("a", 0.7, 0.9, 0.5)
    assert best.failed == 1
    assert other.check is None
