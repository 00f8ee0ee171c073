"""Damaged records and strange names of tensors end in one sentence, never otherwise."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from anomech.artefacts.checkpoints import as_weights
from anomech.artefacts.fitting import apply_state
from anomech.kernel.errors import ModelError, RunError
from anomech.records import Run, Verdict, iterate_rows, read_findings, read_record
from anomech.report.run.render import render

BOUNDED = settings(max_examples=120, deadline=None, derandomize=True, database=None)

RUN = {
    "status": "complete", "title": "t", "task": "image classifier", "budget": 0.01,
    "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "files": {"findings.json": "0"},
}  # fmt: skip
VERDICT = {
    "id": "a",
    "answer": "b",
    "score": 1.0,
    "p_value": 0.1,
    "decision": "flag",
    "reason": "r",
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def changed(record):
    """A record with some fields replaced, taken away or added."""
    keys = st.sampled_from([*record]) | st.text(max_size=8)
    return st.dictionaries(keys, anything, max_size=3).map(lambda new: json.dumps(record | new))


@BOUNDED
@given(changed(RUN) | st.text(), changed(VERDICT) | st.text(), st.binary(max_size=60))
def test_records(run, verdict, raw):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.json").write_text(run, "utf-8", "surrogatepass")
        (folder / "verdicts.jsonl").write_text(verdict + "\n", "utf-8", "surrogatepass")
        (folder / "findings.json").write_bytes(raw)
        for read in (
            lambda: read_record(folder / "run.json", Run),
            lambda: [*iterate_rows(folder / "verdicts.jsonl", Verdict)],
            lambda: read_findings(folder / "findings.json"),
            lambda: render(folder),
        ):
            with suppress(RunError):
                read()


names = st.lists(
    st.sampled_from(
        ["module", "_orig_mod", "model", "ema", "0", "weight", "bias", "gamma", "", "é"]
    ),
    min_size=1,
    max_size=6,
).map(".".join)


@BOUNDED
@given(
    st.dictionaries(names, st.sampled_from([(2, 2), (2,), (0,), ()]), max_size=6),
    st.sampled_from(["", "ema", "model.", "module/", "a/b."]),
)
def test_names_of_tensors(shapes, key):
    loaded = {name: torch.ones(shape) for name, shape in shapes.items()}
    model = nn.Sequential(nn.Linear(2, 2))
    with suppress(ModelError):
        apply_state(model, as_weights(loaded, Path("a.pt"), key).state)
        assert model[0].weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]
