"""Suites: what they refuse, that a resolved one replays, and their cells."""

import pytest
import yaml

from anomech.architectures.resnet14 import Resnet14
from anomech.architectures.resnet20 import Resnet20
from anomech.audit.settings import assign
from anomech.bench import flip_suite, stealth_suite
from anomech.bench.cells import cells
from anomech.bench.patterns import matching
from anomech.bench.screens import suite as screen_suite
from anomech.bench.specs import Suite
from anomech.bench.suite import as_yaml, from_mapping
from anomech.bench.suite_files import read_suite, shipped
from anomech.bench.worlds.images.subjects import Subject
from anomech.kernel.errors import ConfigError
from anomech.learning.training import Recipe

PROMISED = [
    "adversarial",
    "architectures",
    "architectures-small",
    "contamination",
    "ood",
    "shift",
    "smoke",
    "trusted-size",
]
PROMISED += ["vision-gtsrb", "vision-paper", "vision-small"]


def test_the_suites_are_shipped():
    assert set(PROMISED) <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_suite_has_cells(name):
    values = read_suite(name)
    others = {"score_flips": flip_suite, "stealth": stealth_suite, "screening": screen_suite}
    if (kind := values.get("kind")) is not None:
        assert others[kind].from_mapping(values).title
        return
    suite = from_mapping(values)
    assert suite.title
    assert suite.description
    assert cells(suite)


def test_the_networks_of_vision_small_are_the_trained_ones():
    """A changed recipe would have every network trained again."""
    suite = from_mapping(read_suite("vision-small"))
    found = {cell.subject: cell.network for cell in cells(suite)}
    recipe, longer = Recipe(epochs=18, bfloat16=True), Recipe(epochs=24, bfloat16=True)
    wanet = {"ratio": 0.15, "noise_ratio": 0.3}
    expected = {
        "BadNets": Subject((("badnets", {"ratio": 0.1}),), Resnet20(), recipe),
        "Blended": Subject((("blended", {"ratio": 0.1}),), Resnet20(), recipe),
        "WaNet": Subject((("wanet", wanet),), Resnet20(), longer),
        "clean": Subject((), Resnet20(), recipe),
    }
    for name, subject in expected.items():
        assert found[name].recipe == subject.recipe
        assert (found[name].network, found[name].seed) == (subject.network, subject.seed)
        assert found[name].attack_objects() == subject.attack_objects()


def test_the_resolved_suite_replays(suite):
    again = from_mapping(yaml.safe_load(as_yaml(suite)))
    assert again == suite
    assert again.subjects["BadNets"].attacks["badnets"]["corner"] == "bottom_right"
    assert again.detectors["mahalanobis"] == suite.detectors["mahalanobis"]


def test_settings_lie_over_the_file(values):
    changed = assign(values, ["seeds=3,4", "subjects.BadNets.attacks.badnets.size=3"], Suite)
    suite = from_mapping(changed)
    assert suite.seeds == (3, 4)
    assert suite.subjects["BadNets"].attacks["badnets"]["size"] == 3


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("sedes=1", "suite has no option 'sedes': did you mean 'seeds'?"),
        ("subjects.BadNets.attcks={}", "subjects.BadNets has no option 'attcks'"),
        ("subjects.BadNets.attacks={badnet: {}}", "no attack is named 'badnet'"),
        ("subjects.BadNets.attacks={badnets: {rato: 1}}", "no option 'rato'"),
        ("subjects.BadNets.recipe={epoch: 1}", "no option 'epoch'"),
        ("subjects.BadNets.network=resnet", "no architecture is named 'resnet'"),
        ("subjects.BadNets=3", "subjects.BadNets must map"),
        ("subjects={}", "the suite has no subjects"),
        ("detectors={}", "the suite has no detectors"),
        ("detectors={knnn: {}}", "no detector is named 'knnn': did you mean 'knn'?"),
        ("budgets=[]", "the suite has no budgets"),
        ("budgets=[0.9]", "budgets must lie between 0 and 0.5"),
        ("trusted=many", "suite.trusted"),
        ("conditions={a: {perturbation: {badnets: {}}}}", "planted in a network"),
        ("conditions={a: {shift: {badnets: {}, sig: {}}}}", "names 2 methods"),
        ("conditions={a: {foreign: mnist, perturbation: {badnets: {}}}}", "two kinds of anomalies"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(values, setting, says):
    with pytest.raises(ConfigError) as refused:
        from_mapping(assign(values, [setting], Suite))
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"), [("a: [", "not valid YAML"), ("- a\n", "must map the names of options")]
)
def test_a_file_that_is_no_suite(tmp_path, text, says):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_suite(str(path))


def test_an_unknown_suite_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'smoke'"):
        read_suite("smoek")


def test_a_file_gives_its_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: digits\n")
    assert read_suite(str(path))["name"] == "mine"


def test_cells_are_all_combinations(values):
    values["seeds"] = [0, 1]
    values["conditions"] = {"few": {"trusted": 100}, "5 % poisoned": {"trusted": 200}}
    found = cells(from_mapping(values))
    assert len(found) == 2 * 2 * 2 * 2
    assert found[0].id == "digits-digits-BadNets-few-seed0/mahalanobis"
    assert found[2].id == "digits-digits-BadNets-5_poisoned-seed0/mahalanobis"
    assert found[0].case == "BadNets · few"
    assert len({cell.id for cell in found}) == len(found)


def test_cells_that_would_share_a_folder_are_refused(values):
    values["conditions"] = {"a b": {}, "a/b": {}}
    with pytest.raises(ConfigError, match="would share the folder"):
        cells(from_mapping(values))


def test_a_clean_network_has_no_trigger_to_contaminate_with(values):
    values["conditions"] = {"": {}, "bad": {"contaminated": 0.1}}
    found = dict.fromkeys(cell.case for cell in cells(from_mapping(values)))
    assert list(found) == ["BadNets", "BadNets · bad", "clean"]
    del values["subjects"]["BadNets"], values["conditions"][""]
    with pytest.raises(ConfigError, match=r"the suite has no cells.*give a subject an attack"):
        cells(from_mapping(values))


def test_globs_choose_cells(suite):
    found = [cell.id for cell in cells(suite)]
    assert matching(found, []) == found
    assert all(name.endswith("/confidence") for name in matching(found, ["*/confidence"]))
    assert len(matching(found, ["*BadNets*", "*/confidence"])) == 3
    with pytest.raises(ConfigError, match=r"no cell matches 'BadNets'.*digits-digits-BadNets"):
        matching(found, ["BadNets"])


def test_an_architecture_has_options_and_a_name_that_tells_them(values):
    values["network"] = {"use": "resnet14", "width": 4}
    values["subjects"]["clean"] = {"network": {"use": "vit", "depth": 1}}
    suite = from_mapping(values)
    found = {cell.subject: cell.network for cell in cells(suite)}
    assert found["BadNets"].network == Resnet14(width=4)
    assert found["BadNets"].label == "resnet14 width=4"
    assert found["clean"].label == "vit depth=1"
    assert from_mapping(yaml.safe_load(as_yaml(suite))) == suite
    assert all("resnet14" in cell.id or "vit" in cell.id for cell in cells(suite))
