"""An audit of many inputs: the same results as at once, in memory that does not grow."""

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from anomech import Auditor
from anomech.audit import auditor as auditor_module
from anomech.audit.judge.batch import controlled
from anomech.audit.judge.chunks import bounds
from anomech.audit.judge.fitting import fit
from anomech.audit.judge.piece import Piece, Shared, judge_chunk, light
from anomech.audit.judge.tally import Tally, decide
from anomech.audit.judge.verdicts import anchor_names
from anomech.audit.load.loading import Loaded
from anomech.audit.pipeline import judge
from anomech.audit.plan import from_mapping
from anomech.audit.write import results
from anomech.calibration.discovery import fewest_flags
from anomech.calibration.excess import Traffic, chance_of_excess, tolerated
from anomech.data.images import from_arrays
from anomech.data.subset import Subset
from anomech.engines.processes import Processes
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent
from anomech.records import Run, Verdict, read_findings, read_record, read_rows

CHUNK = 16


CHEAP = {"twins": {"rungs": 1, "steps": 6}}
"""Options of the default detector: a twin is there, and has few lessons."""


def plan(lead="functional_attribution", **changed):
    options = CHEAP if lead == "functional_attribution" else {}
    return from_mapping(
        {"lead": lead, "detectors": {lead: options}, "budget": 0.05, "chunk": CHUNK, **changed}
    )


@pytest.fixture(scope="module")
def loaded(digits_world):
    """Trusted digits, and 24 clean ones and 40 with the patch to judge."""
    world = digits_world
    inputs = np.concatenate([world.clean.values[:24], world.planted.values[:40]])
    reference = from_arrays(world.trusted.values, world.trusted.labels)
    return Loaded(world.task, reference, from_arrays(inputs), "toy")


def shared_of(options, loaded):
    fitted = fit(options, loaded.task, loaded.reference, silent)
    return Shared(
        task=loaded.task,
        detectors={name: light(each) for name, each in fitted.detectors.items()},
        lead=options.lead,
        anchors=anchor_names(fitted.trusted),
        basis="b",
        unsure=0.0,
    )


@pytest.mark.parametrize("control", ["per_input", "batch"])
def test_an_audit_gives_what_the_library_gives_at_once(loaded, tmp_path, control, monkeypatch):
    monkeypatch.setattr(auditor_module, "CHUNK", CHUNK)
    run = judge(plan(control=control), loaded, tmp_path, silent)
    rows = read_rows(tmp_path / "verdicts.jsonl", Verdict)
    fitted = Auditor(options=CHEAP, budget=0.05, control=control).fit(loaded.task, loaded.reference)
    at_once = fitted.score(loaded.inputs)
    numbers = {row.id: row.mechanism for row in rows}
    assert rows == [row.model_copy(update={"mechanism": numbers[row.id]}) for row in at_once]
    assert sum(one.size for one in run.mechanisms) == sum(
        number is not None for number in numbers.values()
    )
    assert run.mechanisms
    assert run.compared is None


def test_an_audit_within_classes_says_who_was_judged_by_whom(loaded, tmp_path):
    run = judge(plan(per_class=True), loaded, tmp_path, silent)
    assert read_record(tmp_path / "run.json", Run) == run
    fitted = Auditor(options=CHEAP, budget=0.05, per_class=True).fit(loaded.task, loaded.reference)
    rows = fitted.score(loaded.inputs)
    sizes = fitted.calibrated.strata.sizes
    assert len(sizes) > 1
    strata = [row.stratum for row in read_rows(tmp_path / "verdicts.jsonl", Verdict)]
    assert strata == [row.stratum for row in rows]
    judged = {stratum: strata.count(stratum) for stratum in set(strata)}
    traffic = [Traffic(inputs, sizes[stratum]) for stratum, inputs in sorted(judged.items())]
    assert run.tolerated == tolerated(traffic, 0.05)
    flags = sum(row.p_value <= 0.05 for row in rows)
    assert fitted.chance(rows) == pytest.approx(chance_of_excess(flags, traffic, 0.05))


def test_false_discovery_control_says_where_it_is_blind(loaded, tmp_path):
    judge(plan(control="batch", budget=0.02), loaded, tmp_path, silent)
    (found,) = [
        one for one in read_findings(tmp_path / "findings.json") if one.code == "batch-blind"
    ]
    calibration = len(
        Auditor(options=CHEAP, budget=0.02).fit(loaded.task, loaded.reference).calibrated.groups
    )
    fewest = fewest_flags(len(loaded.inputs), calibration, 0.02)
    assert fewest > 1
    assert f"Fewer than {fewest} anomalous inputs among {len(loaded.inputs)}" in found.title


def test_verdicts_one_by_one_are_those_of_the_list(loaded, monkeypatch):
    monkeypatch.setattr(auditor_module, "CHUNK", CHUNK)
    fitted = Auditor(options=CHEAP, budget=0.05).fit(loaded.task, loaded.reference)
    stream = fitted.stream(loaded.inputs)
    assert next(stream).id == "00"
    rows = list(fitted.stream(loaded.inputs))
    assert {row.q_value for row in rows} == {None}
    assert controlled(rows, 0.05, "per_input") == fitted.score(loaded.inputs)
    batch = replace(fitted, control="batch")
    with pytest.raises(ConfigError, match="use score"):
        batch.stream(loaded.inputs)


def test_examples_that_cannot_stream_are_taken_as_they_are(loaded, digits_world):
    fitted = Auditor(detector="energy", budget=0.05).fit(loaded.task, loaded.reference)
    inputs = Subset(digits_world.clean, np.arange(20))
    assert [row.id for row in fitted.stream(inputs)] == list(inputs.ids)


@pytest.mark.parametrize("lead", ["energy", "knn"])
def test_a_chunk_is_judged_the_same_after_pickling(loaded, lead):
    shared = shared_of(plan(lead), loaded)
    piece = Piece(0, next(loaded.inputs.stream([np.arange(30, 40)])), "c")
    chunk, _ = judge_chunk(shared, piece)
    again, _ = judge_chunk(*pickle.loads(pickle.dumps((shared, piece))))
    assert chunk.verdicts == again.verdicts
    assert chunk.scores == again.scores
    assert len(pickle.dumps(piece)) < 10_000


def test_a_chunk_keeps_the_residuals_of_its_flags(loaded):
    piece = Piece(0, next(loaded.inputs.stream([np.arange(20, 40)])), "c")
    shared = shared_of(plan(), loaded)
    chunk, residuals = judge_chunk(shared, piece)
    assert len(residuals) == sum(row.decision == "flag" for row in chunk.verdicts) > 0
    assert shared.detectors["functional_attribution"].residuals is None


def test_finished_chunks_are_not_sent_to_the_engine(loaded, tmp_path):
    sent = []

    class Stopping:
        def map(self, function, shared, pieces):
            for piece in pieces:
                sent.append(piece.number)
                if len(sent) == 3:
                    raise KeyboardInterrupt
                yield function(shared, piece)

    with pytest.raises(KeyboardInterrupt):
        judge(plan(), loaded, tmp_path, silent, engine=Stopping())
    judge(plan(), loaded, tmp_path, silent, engine=Stopping())
    assert sent == [0, 1, 2, 2, 3]
    judge(plan(), loaded, tmp_path / "whole", silent)
    for name in ("verdicts.jsonl", "examples.jsonl", "scores/functional_attribution.jsonl"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_many_flags_are_compared_as_an_even_selection(loaded, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "LARGEST", 12)
    run = judge(plan(), loaded, tmp_path, silent)
    assert run.compared == 12
    assert read_record(tmp_path / "run.json", Run).compared == 12
    assert sum(one.size for one in run.mechanisms) <= 12
    rows = read_rows(tmp_path / "verdicts.jsonl", Verdict)
    flagged = [place for place, row in enumerate(rows) if row.decision == "flag"]
    chosen = set(results.even(np.array(flagged), 12).tolist())
    assert all(row.mechanism is None for place, row in enumerate(rows) if place not in chosen)
    page = (tmp_path / "report.html").read_text()
    assert f"among 12 flagged inputs of {len(flagged)}" in page
    assert "stands alone" not in page


def test_an_even_selection_holds_both_ends():
    assert results.even(np.arange(7) * 2, 10).tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert results.even(np.arange(100), 4).tolist() == [0, 33, 66, 99]


def test_memory_does_not_grow_with_the_inputs(loaded, tmp_path):
    """What is kept of an input is numbers: 17 bytes of digest, 17 of decisions, some rows."""
    generator = np.random.default_rng(0)
    peaks = []
    for count in (2000, 4000):
        images = generator.integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)
        inputs = replace(loaded, inputs=from_arrays(images))
        tracemalloc.start()
        try:
            judge(plan("energy", chunk=64), inputs, tmp_path / str(count), silent)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    # A verdict alone takes two kilobytes as an object.
    assert peaks[1] - peaks[0] < 2000 * 200, peaks


def test_few_images_are_alive_at_once(loaded, tmp_path):
    """Pixels of two chunks at the most: the one that is judged and the one that comes."""
    counts = {"alive": 0, "most": 0}

    class Batch(np.ndarray):
        def __del__(self):
            if self.base is None:
                counts["alive"] -= len(self)

    source = loaded.inputs.pixels

    def pixels(rows):
        batch = np.empty((len(rows), 8, 8, 1), np.uint8).view(np.ndarray)
        owned = np.ndarray.__new__(Batch, batch.shape, np.uint8)
        owned[:] = source(rows)
        counts["alive"] += len(rows)
        counts["most"] = max(counts["most"], counts["alive"])
        return owned

    inputs = replace(loaded.inputs, pixels=pixels)
    inputs.hash()
    counts["most"] = counts["alive"]
    judge(plan("energy", chunk=8), replace(loaded, inputs=inputs), tmp_path, silent)
    assert counts["most"] <= 16


def test_a_tally_does_not_depend_on_the_order(loaded, tmp_path):
    shared = shared_of(plan(), loaded)
    spans = list(bounds(len(loaded.inputs), CHUNK))
    chunks = [
        judge_chunk(shared, Piece(number, held, ""))[0]
        for number, held in enumerate(loaded.inputs.stream(spans))
    ]
    tallies = []
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        tally = Tally.empty(len(loaded.inputs), 3)
        for number in order:
            tally.add(spans[number], chunks[number])
        tallies.append(decide(tally, 0.05, "batch"))
    first, second = tallies
    np.testing.assert_array_equal(first.q_values, second.q_values)
    np.testing.assert_array_equal(first.flagged, second.flagged)
    assert first.shown == second.shown
    assert len(first.shown) == 3
    rows = controlled([row for chunk in chunks for row in chunk.verdicts], 0.05, "batch")
    assert first.flagged.tolist() == [i for i, row in enumerate(rows) if row.decision == "flag"]


def test_another_engine_gives_the_same_bytes(loaded, tmp_path):
    judge(plan(), loaded, tmp_path / "here", silent)
    judge(plan(), loaded, tmp_path / "there", silent, engine=Processes(workers=1))
    for name in ("verdicts.jsonl", "scores/functional_attribution.jsonl"):
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes()
