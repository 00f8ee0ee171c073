"""Settings of the command line: what becomes a list, and what another method takes away."""

import pytest
import yaml

from anomech.audit.plan import Plan, as_yaml, commented, from_mapping
from anomech.audit.settings import assign, difference, put
from anomech.federated.plan import Plan as FederationPlan
from anomech.kernel.config import resolved
from anomech.kernel.errors import ConfigError


def at(values, path):
    for name in path.split("."):
        values = values[name]
    return values


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("reference=/a,b", "/a,b"),
        ("model.weights=x,y.safetensors", "x,y.safetensors"),
        ("task.mean=0.5", [0.5]),
        ("task.mean=0.1,0.2,0.3", [0.1, 0.2, 0.3]),
        ("task.mean=[0.1, 0.2]", [0.1, 0.2]),
        ("task.watch=last", "last"),
        ("budget=0.02", 0.02),
        ("detectors.knn.k=7", 7),
        ("detectors.functional_attribution.tracer.features=64", 64),
    ],
)
def test_only_options_that_take_several_values_are_split_at_commas(setting, value):
    for before in (resolved(Plan()), {}):
        values = assign(before, [setting], Plan)
        assert at(values, setting.partition("=")[0]) == value


def test_another_method_takes_the_options_of_the_one_before_away():
    for before in (resolved(Plan()), {"model": {"factory": "a.py:f", "weights": "w.pt"}}):
        values = assign(before, ["model.use=backdoorbench", "model.file=a.pt"], Plan)
        assert values["model"] == {"use": "backdoorbench", "file": "a.pt"}
        kept = assign(before, ["model.use=factory"], Plan)["model"]
        assert kept == {"use": "factory", **before["model"]}


def test_a_method_that_is_given_by_its_name_alone_takes_options():
    values = assign({"task": "image_classifier"}, ["task.watch=last"], Plan)
    assert values["task"] == {"use": "image_classifier", "watch": "last"}
    named = {"methods": {"mine": {"grouping": "emd_linkage"}}}
    values = assign(named, ["methods.mine.grouping.deviations=4"], FederationPlan)
    assert values["methods"]["mine"]["grouping"] == {"use": "emd_linkage", "deviations": 4}
    before = {"detectors": {"coupling_score": {"tracer": "gradient"}}}
    values = assign(before, ["detectors.coupling_score.tracer.features=8"], Plan)
    assert values["detectors"]["coupling_score"]["tracer"] == {"use": "gradient", "features": 8}


def test_a_plan_of_before_still_reads_its_model_and_its_task():
    plan = from_mapping(
        {
            "model": {"factory": "net.py:make", "weights": "w.safetensors"},
            "task": {"mean": [0.5], "watch": "last"},
        }
    )
    assert resolved(plan)["model"]["use"] == "factory"
    assert plan.title == "w.safetensors"
    assert plan.task.mean == (0.5,)


def test_a_resolved_plan_and_a_commented_one_replay():
    assert from_mapping(yaml.safe_load(as_yaml(Plan()))) == from_mapping({})
    assert from_mapping(yaml.safe_load(commented())) == from_mapping({})


def test_a_path_through_a_value_is_refused():
    with pytest.raises(ConfigError, match="'budget' holds a value"):
        put({"budget": 0.1}, "budget.x", 1, Plan)


def test_plans_differ_by_dotted_names():
    first, second = ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": {}})
    assert difference(first, second) == ["a.c", "d"]
