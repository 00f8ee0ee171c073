"""`anomech describe` and `anomech plan`."""

import yaml

from anomech.audit.plan import Plan, as_yaml, from_mapping
from anomech.kernel import plugins
from anomech.kernel.config import resolved


def test_describe_lists_every_method(run):
    answer = run("describe")
    assert answer.code == 0
    for kind in plugins.KINDS:
        assert kind in answer.out
        for name in plugins.names(kind):
            assert name in answer.out


def test_describe_a_kind(run):
    answer = run("describe", "detector")
    assert answer.code == 0
    assert "knn" in answer.out
    assert "badnets" not in answer.out


def test_describe_a_method_tells_all(run):
    answer = run("describe", "detector", "functional_attribution")
    assert answer.code == 0
    for word in ("Belief:", "Equation:", "Source:", "Needs:", "Cost:", "Fails when:", "ridge"):
        assert word in answer.out
    assert "robust" in answer.out  # the unit of an option


def test_describe_every_method(run):
    for kind in plugins.KINDS:
        for name in plugins.names(kind):
            assert run("describe", kind, name).code == 0


def test_describe_a_method_without_options(run):
    assert "no options" in run("describe", "detector", "energy").out


def test_describe_unknown_words_get_a_hint(run, one_sentence):
    answer = run("describe", "detektor")
    assert answer.code == 2
    one_sentence(answer.error, "did you mean 'detector'?")
    answer = run("describe", "detector", "mahalanobi")
    assert answer.code == 2
    one_sentence(answer.error, "did you mean 'mahalanobis'?")


def test_new_plan_is_the_default_plan(run, tmp_path):
    answer = run("plan", "new", tmp_path / "plan.yaml")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'plan.yaml'}\n")
    text = (tmp_path / "plan.yaml").read_text()
    assert from_mapping(yaml.safe_load(text)) == from_mapping(resolved(Plan()))
    assert run("plan", "new").out == text
    assert run("plan", "new", "-").out == text


def test_new_plan_overwrites_nothing(run, tmp_path, one_sentence):
    file = tmp_path / "plan.yaml"
    file.write_text("mine")
    answer = run("plan", "new", file)
    assert answer.code == 2
    one_sentence(answer.error, "not overwritten", "choose another name")
    assert file.read_text() == "mine"


def test_new_plan_in_a_missing_folder(run, tmp_path, one_sentence):
    answer = run("plan", "new", tmp_path / "no" / "plan.yaml")
    assert answer.code == 2
    one_sentence(answer.error, "choose another place")


def test_check_prints_the_resolved_plan(run, tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("budget: 0.2\ndetectors: {functional_attribution: {ridge: 0.5}}\n")
    answer = run("plan", "check", file)
    assert answer.code == 0
    values = yaml.safe_load(answer.out)
    assert values["budget"] == 0.2
    assert values["detectors"]["functional_attribution"]["tracer"]["features"]
    assert as_yaml(from_mapping(values)) == answer.out
    assert "names no model" in answer.err


def test_check_refuses_what_cannot_run(run, tmp_path, one_sentence):
    for text, *parts in (
        ("bugdet: 0.1\n", "'bugdet'", "did you mean 'budget'?"),
        ("budget: much\n", "plan.budget"),
        ("lead: knn\ndetectors: {energy: {}}\n", "'knn'", "add it"),
        ("detectors: {functional_attribution: {ridg: 1}}\n", "did you mean 'ridge'?"),
        ("detectors: {functional_attribution: {tracer: gradien}}\n", "did you mean 'gradient'?"),
        ("model: {1: a}\n", "anomech plan new"),
        ("- a list\n", "anomech plan new"),
        ("a: [\n", "not valid YAML"),
    ):
        file = tmp_path / "plan.yaml"
        file.write_text(text)
        answer = run("plan", "check", file)
        assert answer.code == 2, text
        one_sentence(answer.error, *parts)
    answer = run("plan", "check", tmp_path / "none.yaml")
    one_sentence(answer.error, "there is no plan", "anomech plan new")
