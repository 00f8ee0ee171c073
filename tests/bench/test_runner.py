"""Running a suite: what is written, what is run again, and what goes on when something fails."""

import csv
import shutil
from dataclasses import replace

import pytest
import yaml

from anomech.audit.settings import assign
from anomech.bench import runner
from anomech.bench.cells import cells
from anomech.bench.runner import run_suite
from anomech.bench.specs import Suite
from anomech.bench.suite import from_mapping
from anomech.bench.worlds.images import kind as images
from anomech.detectors.confidence import Confidence, FittedConfidence
from anomech.engines._parcels import attempt, opened, pack, pack_job, unpack
from anomech.kernel.errors import ConfigError, ModelError, RunError
from anomech.records import Run, read_record, read_rows
from anomech.records.scorecards import BenchRun, Scorecard, TruthRow
from anomech.roles.detector import Scores

KEPT = ("accuracy", "success", "auroc", "rates", "normal", "anomalous", "status")


@pytest.fixture
def judged(monkeypatch):
    """Ids of the cells that are judged."""
    seen = []
    original = runner.judge_case

    def counting(bench, case):
        seen.extend(cell.id for cell in case)
        return original(bench, case)

    monkeypatch.setattr(runner, "judge_case", counting)
    return seen


@pytest.fixture
def copied(finished, tmp_path):
    """A finished bench that the test may change."""
    shutil.copytree(finished[0], tmp_path / "bench")
    return tmp_path / "bench"


def audit_of(out, card):
    """Where a cell's audit is."""
    folder = out / "cells" / card.id
    return folder.parent / card.audit if card.audit else folder


def numbers(card):
    return {name: getattr(card, name) for name in KEPT}


def test_a_finished_bench(finished, suite):
    out, outcome = finished
    run = read_record(out / "bench.json", BenchRun)
    assert run == outcome.run
    assert (run.status, run.cells, run.done, run.failed) == ("complete", 4, 4, 0)
    assert [card.id for card in outcome.cards] == [cell.id for cell in cells(suite)]
    for card in outcome.cards:
        assert read_record(out / "cells" / card.id / "card.json", Scorecard) == card
        folder = audit_of(out, card)
        assert (folder / "report.html").exists()
        assert "Known truth" in (folder / "report.html").read_text()
        assert card.status == "done"
        assert (card.normal, card.trusted) == (150, 300)
        assert card.cost.peak_mib is None or card.cost.peak_mib > 50
    assert from_mapping(yaml.safe_load((out / "suite.yaml").read_text())) == suite


def test_a_card_agrees_with_the_files_beside_it(finished):
    out, outcome = finished
    planted, _, clean, _ = outcome.cards
    rows = read_rows(audit_of(out, planted) / "truth.jsonl", TruthRow)
    normal = [row for row in rows if row.anomalous is False]
    made = [row for row in rows if row.anomalous is not False]
    assert planted.accuracy == sum(row.right for row in normal) / 150
    assert planted.success == sum(row.anomalous is True for row in made) / len(made)
    assert planted.success > 0.8
    run = read_record(audit_of(out, planted) / "run.json", Run)
    first = planted.rates[0]
    assert (first.threshold, first.budget, first.filtered) == ("calibrated", 0.01, False)
    assert round(first.tpr * planted.anomalous) == run.truth.true_positives
    assert round(first.fpr * 150) == run.truth.false_positives
    assert planted.auroc.value == run.truth.auroc["mahalanobis"]
    assert len(planted.rates) == 8
    assert (clean.anomalous, clean.auroc, clean.success) == (0, None, None)
    assert {each.threshold for each in clean.rates} == {"calibrated"}


def test_comparisons_are_of_the_first_detector_on_the_same_inputs(finished):
    _, outcome = finished
    one, other = outcome.cards[:2]
    found = {(each.measure, each.case): each for each in outcome.run.comparisons}
    assert set(found) == {(m, c) for m in ("AUROC", "DER") for c in ("BadNets", "mean")}
    difference = found["AUROC", "BadNets"].difference
    assert difference.value == pytest.approx(one.auroc.value - other.auroc.value)
    assert difference.low <= difference.value <= difference.high
    assert found["DER", "mean"].difference == found["DER", "BadNets"].difference


def test_nothing_is_run_twice(finished, copied, suite, zoo, judged):
    told = []
    outcome = run_suite(suite, copied, zoo=zoo, told=told.append)
    assert (judged, told) == ([], [])
    assert outcome.cards == finished[1].cards
    assert outcome.run.comparisons == finished[1].run.comparisons
    assert outcome.run.seconds > finished[1].run.seconds


def test_a_changed_option_runs_its_cells_again(copied, values, zoo, judged):
    changed = from_mapping(
        assign(values, ["detectors.mahalanobis={}", "budgets=[0.02, 0.05]"], Suite)
    )
    run_suite(changed, copied, zoo=zoo, patterns=["*clean*"])
    assert len(judged) == 2  # the others were not asked for
    outcome = run_suite(changed, copied, zoo=zoo)
    assert len(judged) == 4
    assert {each.budget for card in outcome.cards for each in card.rates} == {0.02, 0.05}


def test_another_version_runs_everything_again(copied, suite, zoo, judged, monkeypatch):
    monkeypatch.setattr(images, "version", lambda name: "9.9.9")
    run_suite(suite, copied, zoo=zoo)
    assert len(judged) == 4


def test_some_cells_first_and_the_others_later(finished, suite, zoo, tmp_path, judged):
    outcome = run_suite(suite, tmp_path / "bench", zoo=zoo, patterns=["*/confidence"])
    assert len(judged) == 2
    assert (outcome.run.status, outcome.run.done) == ("interrupted", 2)
    outcome = run_suite(suite, tmp_path / "bench", zoo=zoo)
    assert len(judged) == 4
    assert outcome.run.status == "complete"
    assert list(map(numbers, outcome.cards)) == list(map(numbers, finished[1].cards))


def test_an_interrupted_bench_keeps_what_is_done(finished, suite, zoo, tmp_path, judged):
    out = tmp_path / "bench"

    def stop(card):
        run = read_record(out / "bench.json", BenchRun)
        assert run.status == "running"
        if run.done == len(judged) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, out, zoo=zoo, told=stop)
    run = read_record(out / "bench.json", BenchRun)
    assert (run.status, run.done) == ("interrupted", 2)
    assert "2 of 4 cells" in (out / "leaderboard.md").read_text()
    outcome = run_suite(suite, out, zoo=zoo)
    assert len(judged) == 4
    assert list(map(numbers, outcome.cards)) == list(map(numbers, finished[1].cards))


def test_a_cell_that_was_cut_short_goes_on_from_its_chunks(suite, zoo, tmp_path, monkeypatch):
    out, stopped = tmp_path / "bench", []

    def stop(stage, done, total):
        if stage == "writing results" and not stopped:
            stopped.append(stage)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, out, zoo=zoo, progress=stop, patterns=["*BadNets*/confidence"])
    folder = out / "cells" / "digits-digits-BadNets-seed0" / "confidence"
    assert list((folder / "work").iterdir())
    assert read_record(folder / "run.json", Run).status == "interrupted"
    monkeypatch.setattr("anomech.audit.judge.inputs.judge_chunk", None)  # none has to be judged
    outcome = run_suite(suite, out, zoo=zoo, patterns=["*BadNets*/confidence"])
    assert outcome.cards[0].status == "done"


def test_an_attack_that_does_not_take_fails_its_cells_alone(values, zoo, tmp_path, judged):
    values["subjects"]["weak"] = {"attacks": {"badnets": {"ratio": 0.0, "size": 2}}}
    suite, out = from_mapping(values), tmp_path / "bench"
    told = []
    outcome = run_suite(suite, out, zoo=zoo, told=told.append)
    failed = [card for card in outcome.cards if card.status == "failed"]
    assert {card.subject for card in failed} == {"weak"}
    assert "the badnets attack succeeds on" in failed[0].reason
    assert failed[0].rates == ()
    assert (outcome.run.status, outcome.run.done, outcome.run.failed) == ("complete", 4, 2)
    assert len(told) == 6
    assert failed[0].reason in (out / "leaderboard.md").read_text()
    judged.clear()
    told.clear()
    run_suite(suite, out, zoo=zoo, told=told.append)  # failed ones are tried again
    assert (judged, [card.subject for card in told]) == ([], ["weak", "weak"])


def test_a_method_that_breaks_fails_its_cell_alone(suite, zoo, tmp_path, monkeypatch):
    def broken(*given, **named):
        raise ZeroDivisionError("in the middle")

    out = tmp_path / "bench"
    with monkeypatch.context() as patch:
        patch.setattr(Confidence, "fit", broken)
        outcome = run_suite(suite, out, zoo=zoo, patterns=["*BadNets*"])
    fine, failed = outcome.cards
    assert (fine.status, failed.status) == ("done", "failed")
    assert failed.reason == "it stopped with ZeroDivisionError: in the middle"
    assert "in broken" in (out / "cells" / failed.id / "error.txt").read_text()
    assert fine.audit == failed.audit == ""  # each was judged alone
    mended = run_suite(suite, out, zoo=zoo, patterns=["*BadNets*"])
    assert [card.status for card in mended.cards] == ["done", "done"]


def test_a_method_that_breaks_while_it_judges_takes_no_other_with_it(
    finished, suite, zoo, tmp_path, monkeypatch
):
    def broken(self, observed, progress):
        if len(observed) > 150:  # not the calibration examples
            raise ZeroDivisionError("in the middle")
        return Scores(-observed.log_odds, {})

    monkeypatch.setattr(FittedConfidence, "score", broken)
    outcome = run_suite(suite, tmp_path / "bench", zoo=zoo, patterns=["*BadNets*"])
    fine, failed = outcome.cards
    assert (fine.status, failed.status) == ("done", "failed")
    assert numbers(fine) == numbers(finished[1].cards[0])


def test_one_audit_answers_for_all_detectors_of_a_case(finished):
    out, outcome = finished
    one, two, other, _ = outcome.cards
    assert one.audit == two.audit != ""
    assert audit_of(out, one) == audit_of(out, two) != audit_of(out, other)
    run = read_record(audit_of(out, one) / "run.json", Run)
    assert [each.name for each in run.detectors] == ["mahalanobis", "confidence"]


def test_alone_and_together_the_numbers_are_the_same(finished, suite, zoo, tmp_path):
    for pattern in ("*/confidence", "*/mahalanobis"):
        outcome = run_suite(suite, tmp_path / "bench", zoo=zoo, patterns=[pattern])
    assert {card.audit for card in outcome.cards} == {""}
    assert list(map(numbers, outcome.cards)) == list(map(numbers, finished[1].cards))


def test_traces_of_a_case_are_paid_for_once(values, zoo, tmp_path):
    full = {"cascade": {"full": True}}
    values["detectors"] = {
        **{"coupling_score": {}, "self_influence": {}, "functional_attribution": full},
        "confidence": {},
    }
    values["subjects"] = {"BadNets": values["subjects"]["BadNets"]}
    one, two, three, four = run_suite(from_mapping(values), tmp_path / "bench", zoo=zoo).cards
    assert one.cost.tracing_seconds == two.cost.tracing_seconds > 0
    assert three.cost.tracing_seconds > one.cost.tracing_seconds  # it looks at states, too
    assert four.cost.tracing_seconds == 0
    for card in (one, two, three):
        assert card.cost.tracing_seconds <= card.cost.fit_seconds + card.cost.score_seconds


def test_too_few_trusted_images_are_no_failure(values, zoo, tmp_path):
    values["conditions"] = {
        f"{n}": {"trusted": n, "axis": "trusted images", "value": n} for n in (20, 60, 300)
    }
    suite = from_mapping(values)
    outcome = run_suite(suite, tmp_path / "bench", zoo=zoo, patterns=["*BadNets*/confidence"])
    few, some, many = outcome.cards
    assert (few.status, few.rates, few.trusted) == ("inconclusive", (), 20)
    assert "19 of them to calibrate with" in few.reason
    assert {(r.threshold, r.budget) for r in some.rates} == {
        ("oracle", 0.01),
        ("calibrated", 0.05),
        ("oracle", 0.05),
    }
    assert len(many.rates) == 8
    assert [card.value for card in outcome.cards] == [20, 60, 300]
    assert (outcome.run.done, outcome.run.failed) == (3, 0)
    # 60 trusted images calibrate 5 % alone, so that is what the audit is at.
    run = read_record(tmp_path / "bench" / "cells" / some.id / "run.json", Run)
    assert run.budget == 0.05


def test_a_contaminated_trusted_set_hides_the_trigger(values, zoo, tmp_path):
    values["conditions"] = {"0": {}, "20": {"contaminated": 0.2}}
    values["subjects"] = {"BadNets": values["subjects"]["BadNets"]}
    values["detectors"] = {"mahalanobis": {}}
    pure, bad = run_suite(from_mapping(values), tmp_path / "bench", zoo=zoo).cards
    assert pure.rates[0].tpr > bad.rates[0].tpr + 0.3
    assert pure.auroc.value > bad.auroc.value


class Packed:
    """An engine whose pieces travel as they do to a worker, and stay in this process."""

    def map(self, function, shared, pieces):
        job = pack_job(function, shared)
        for piece in pieces:
            yield opened(attempt(lambda: unpack(job), pack(piece, "a piece of work")))


def test_cells_that_travel_to_workers_give_the_same_cards(finished, suite, zoo, tmp_path):
    outcome = run_suite(suite, tmp_path / "bench", zoo=zoo, engine=Packed(), patterns=["*BadN*"])
    expected = map(numbers, finished[1].cards[:2])
    assert list(map(numbers, outcome.cards)) == list(expected)


def test_workers_that_write_elsewhere_are_noticed(suite, zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "judge_case", lambda bench, case: ())
    with pytest.raises(RunError, match="file system that all machines share"):
        run_suite(suite, tmp_path / "bench", zoo=zoo)


def test_a_folder_of_something_else_is_refused(finished, suite, zoo, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="holds no bench; choose another --out"):
        run_suite(suite, tmp_path, zoo=zoo)
    with pytest.raises(RunError, match="holds a bench of 'tiny'"):
        run_suite(replace(suite, name="other"), finished[0], zoo=zoo)


def test_cells_that_left_the_suite_are_not_mixed_in(finished, values, zoo):
    del values["detectors"]["confidence"]
    with pytest.raises(RunError, match="BadNets-seed0/confidence; remove them"):
        run_suite(from_mapping(values), finished[0], zoo=zoo)


def test_what_is_missing_is_said_before_any_compute(values, zoo, tmp_path, judged):
    with pytest.raises(ConfigError, match="no cell matches"):
        run_suite(from_mapping(values), tmp_path / "a", zoo=zoo, patterns=["nothing"])
    with pytest.raises(ConfigError, match="no data set is named 'digit'"):
        run_suite(from_mapping({**values, "data": "digit"}), tmp_path / "a", zoo=zoo)
    assert not (tmp_path / "a").exists()
    assert judged == []


def test_means_and_worst_cases_are_written_for_programs_too(finished):
    out, outcome = finished
    with (out / "leaderboard-means.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    fpr = [card.rates[0].fpr for card in outcome.cards if card.detector == "mahalanobis"]
    (found,) = (
        row
        for row in rows
        if (row["detector"], row["role"], row["budget"], row["measure"])
        == ("mahalanobis", "all", "0.01", "fpr")
    )
    assert float(found["worst"]) == max(fpr)
    assert float(found["mean"]) == pytest.approx(sum(fpr) / len(fpr))
    assert {row["role"] for row in rows} == {"all", "development", "check"}


def test_markdown_and_csv_hold_the_numbers_of_the_cards(finished):
    out, outcome = finished
    text = (out / "leaderboard.md").read_text()
    planted = outcome.cards[0]
    assert f"| BadNets | development | {planted.rates[0].der:.3f} |" in text
    assert "| clean | check |" in text
    assert "mean, development" in text
    with open(out / "leaderboard.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == sum(len(card.rates) for card in outcome.cards)
    assert float(lines[0]["auroc_low"]) == planted.auroc.low
    assert float(lines[0]["tpr"]) == planted.rates[0].tpr


def test_seeds_are_trained_and_split_anew(values, zoo, tmp_path):
    values["seeds"] = [0, 1]
    values["subjects"] = {"BadNets": values["subjects"]["BadNets"]}
    outcome = run_suite(from_mapping(values), tmp_path / "bench", zoo=zoo)
    first, second = outcome.cards[0], outcome.cards[2]
    assert (first.seed, second.seed) == (0, 1)
    assert first.auroc != second.auroc
    found = {(each.measure, each.case): each.difference for each in outcome.run.comparisons}
    others = outcome.cards[1], outcome.cards[3]
    pairs = zip((first, second), others, strict=True)
    mean = sum(one.auroc.value - other.auroc.value for one, other in pairs) / 2
    assert found["AUROC", "BadNets"].value == pytest.approx(mean)


def test_a_network_that_diverges_is_a_reason(values, zoo, tmp_path):
    values["recipe"] = {**values["recipe"], "peak": 1e6, "epochs": 1}
    outcome = run_suite(from_mapping(values), tmp_path / "bench", zoo=zoo, patterns=["*clean*"])
    assert [card.status for card in outcome.cards] == ["failed", "failed"]
    assert ModelError.__name__ not in outcome.cards[0].reason
    assert "learning rate" in outcome.cards[0].reason
