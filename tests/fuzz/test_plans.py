"""Any plan, setting or size is understood or refused in one short sentence, and at once."""

from dataclasses import fields

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anomech.audit.load.loading import check_named
from anomech.audit.plan import Plan, as_yaml, commented, from_mapping, read_plan
from anomech.audit.settings import assign, put
from anomech.cli.groups import mebibytes
from anomech.kernel.config import resolved
from anomech.kernel.errors import ConfigError
from anomech.tasks._devices import available
from anomech.tasks.image_classifier import ImageClassifierOptions
from tests.support.refusals import refusal

QUICK = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**20, -(10**20), 10**4000, 2**63, 1e-320, 5e-324])
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(["\ud83d", "a\0b", "a" * 9000, "meta", "hpu", "cuda:99", "../../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
NAMES = [
    *(field.name for field in fields(Plan)),
    *(f"task.{field.name}" for field in fields(ImageClassifierOptions)),
    "model.use",
    "model.factory",
    "task.use",
    "detectors.knn.neighbors",
    "detectors.functional_attribution.tracer",
    "detectors.functional_attribution.tracer.use",
]


@given(st.sampled_from(NAMES), VALUES)
@QUICK
def test_any_value_of_any_option(name, value):
    def build():
        plan = from_mapping(put(resolved(Plan()), name, value, Plan))
        again = from_mapping(yaml.safe_load(as_yaml(plan)))
        assert again == plan or plan != plan
        refusal(lambda: check_named(plan))

    refusal(build)


@given(st.sampled_from(NAMES), st.text(st.characters(), max_size=30))
@QUICK
def test_any_setting(name, text):
    refusal(lambda: from_mapping(assign(resolved(Plan()), [f"{name}={text}"], Plan)))


@given(st.data())
@QUICK
def test_any_damage_to_a_plan(tmp_path, data):
    text = commented()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    put = data.draw(
        st.sampled_from(["", "[", "{", "&a ", "*a", "- ", ": ", "\t", "!!int ", "\x85"])
    )
    path = tmp_path / "plan.yaml"
    path.write_text(text[:start] + put * data.draw(st.integers(1, 50)) + text[end:])
    refusal(lambda: from_mapping(read_plan(path)))


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [*a]", "refers to parts of itself"),
        ("&a a: *a", "refers to parts of itself"),
        (BOMB, "refers to parts of itself"),
        ("a: " + "[" * 1500 + "]" * 1500, "nests more than 32"),
        ("a: " + "{b: " * 1500 + "}" * 1500, "nests more than 32"),
        ("seed: " + "9" * 5000, "cannot be read"),
        ("seed: " + "9" * 4000, "too large"),
        ("chunk: 99999999999999999999", "too large"),
        ("budget: 1.0e-320", "greater than or equal to"),
        ("budget: .nan", "finite"),
        ("task: {std: [.inf]}", "finite"),
        ('reference: "\\uD83D"', "no character"),
        ('reference: "a\\0b"', "no character"),
        ("seed: 2020-99-99", "cannot be read"),
        ("seed: !!timestamp x", "cannot be read"),
        ("b" * 900 + ": 1", "no option"),
        ("# " + "x" * 2**20, "more than 1048576"),
    ],
)
def test_what_was_met(tmp_path, text, words):
    (tmp_path / "plan.yaml").write_text(text)
    assert words in str(refusal(lambda: from_mapping(read_plan(tmp_path / "plan.yaml"))))


@pytest.mark.parametrize("text", ["[[[", "{", "&a [*a]", "9" * 5000, "99999999999999999999"])
def test_settings_that_were_met(text):
    assert refusal(lambda: from_mapping(assign(resolved(Plan()), [f"seed={text}"], Plan)))


@pytest.mark.parametrize("device", ["meta", "hpu", "cuda:99", "x", "", "cpu:-7", "privateuseone"])
def test_devices_that_cannot_answer(device):
    if device == "":
        assert available("") == "cpu"
        return
    assert f"'{device}'" in str(refusal(ImageClassifierOptions(device=device).check))
    assert torch.empty(0).device.type == "cpu"


@given(st.text(st.sampled_from("0123456789.e MGTiB-∞"), max_size=12))
@QUICK
def test_any_size(text):
    refusal(lambda: mebibytes(text))


def test_sizes_that_were_met():
    for size in ("9" * 5000 + "TB", "0MB", "1e9GB", ".GB"):
        with pytest.raises(ConfigError, match="takes a size"):
            mebibytes(size)
    assert mebibytes("1.5 GiB") == 1536
