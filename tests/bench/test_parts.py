"""Suites with several kinds of network, of several parts, and based on each other."""

import pytest
import yaml

from anomech.architectures.resnet14 import Resnet14
from anomech.architectures.vit import Vit
from anomech.bench.cells import cells
from anomech.bench.parts import parts_of
from anomech.bench.runner import run_suite
from anomech.bench.suite import as_yaml, from_mapping
from anomech.bench.suite_files import overlaid, pruned, read_suite
from anomech.kernel.errors import ConfigError
from anomech.records.scorecards import Scorecard


@pytest.fixture
def kinds(values):
    """Two kinds of network on two parts of one data set."""
    values["networks"] = {
        "narrow": {"network": {"use": "resnet14", "width": 2}, "role": "development"},
        "transformer": {"network": "vit", "recipe": {"optimizer": "adamw"}},
    }
    values["parts"] = {
        "long": {
            "trusted": 200,
            "networks": {"narrow": {"network": {"width": 4}}},
            "subjects": {"BadNets": {"attacks": {"badnets": {"size": 3}}}},
        },
        "brief": {"base": "long", "recipe": {"epochs": 1}, "subjects": {"clean": None}},
    }
    return values


def test_mappings_are_laid_over_each_other():
    below = {"a": {"b": 1, "c": 2}, "d": 3, "e": {"f": 4}}
    over = {"a": {"c": None, "g": 5}, "d": {"h": 6}, "e": 7}
    assert pruned(overlaid(below, over)) == {"a": {"b": 1, "g": 5}, "d": {"h": 6}, "e": 7}
    assert below["a"] == {"b": 1, "c": 2}


def test_cells_are_all_combinations_of_parts_kinds_and_subjects(kinds):
    found = cells(from_mapping(kinds))
    assert len(found) == 2 * (2 + 1) * 2
    names = list(dict.fromkeys(cell.case for cell in found))
    assert names == [
        *("BadNets · long · narrow", "clean · long · narrow"),
        *("BadNets · long · transformer", "clean · long · transformer"),
        *("BadNets · brief · narrow", "BadNets · brief · transformer"),
    ]
    assert found[0].id == "long-narrow-BadNets-seed0/mahalanobis"
    assert len({cell.trained for cell in found}) == len(names)


def test_what_is_laid_over_comes_last(kinds):
    found = {cell.case: cell for cell in cells(from_mapping(kinds))}
    narrow, other = found["BadNets · long · narrow"], found["BadNets · brief · transformer"]
    assert narrow.network.network == Resnet14(width=4)
    assert other.network.network == Vit()
    assert narrow.suite.trusted == 200
    assert (narrow.network.recipe.epochs, other.network.recipe.epochs) == (8, 1)
    assert (narrow.network.recipe.optimizer, other.network.recipe.optimizer) == ("sgd", "adamw")
    assert narrow.spec.attacks["badnets"]["size"] == 3
    assert narrow.spec.attacks["badnets"]["ratio"] == 0.15


def test_the_kind_of_network_decides_the_role_before_the_subject(kinds):
    found = {cell.case: cell.role for cell in cells(from_mapping(kinds))}
    assert found["clean · long · narrow"] == "development"
    assert found["BadNets · long · transformer"] == "development"  # that of the subject
    assert found["clean · long · transformer"] == "check"


def test_a_suite_of_parts_replays(kinds):
    suite = from_mapping(kinds)
    again = from_mapping(yaml.safe_load(as_yaml(suite)))
    assert again == suite
    assert cells(again) == cells(suite)


def test_a_suite_without_parts_is_its_only_one(suite):
    assert parts_of(suite) == {"": suite}


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"detectors": {"knn": {}}}, "parts.other cannot have its own 'detectors'"),
        ({"conditoins": {}}, "did you mean 'conditions'"),
        ({"base": "lang"}, "is based on 'lang', which is no part without a base: did you mean"),
        ({"base": "brief"}, "parts.other is based on 'brief'"),
        ({"trusted": "many"}, "parts.other: suite.trusted"),
        ({"networks": {"narrow": {"network": {"widht": 1}}}}, "on networks.narrow: network has no"),
    ],
)
def test_what_a_part_cannot_say_is_one_sentence(kinds, part, says):
    kinds["parts"]["other"] = part
    with pytest.raises(ConfigError) as refused:
        cells(from_mapping(kinds))
    assert says in str(refused.value)


def test_the_small_suite_is_a_part_of_the_large_one():
    large, small = (
        {cell.id: cell for cell in cells(from_mapping(read_suite(name)))}
        for name in ("architectures", "architectures-small")
    )
    assert len(small) < len(large) / 3
    for name, cell in small.items():
        assert cell.network == large[name].network
        assert (cell.under, cell.role) == (large[name].under, large[name].role)
    signs = {cell.subject for cell in small.values() if cell.part == "gtsrb"}
    assert signs == {"BadNets"}


def test_roles_are_as_they_were_declared_before_any_network_was_judged():
    found = {cell.kind: cell.role for cell in cells(from_mapping(read_suite("architectures")))}
    looked_at = {kind for kind, role in found.items() if role == "development"}
    assert looked_at == {"depthwise GroupNorm", "ResNet", "plain CNN"}
    assert len(found) == 9


def test_a_suite_may_be_based_on_another(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("base: smoke\nsubjects: {Blended: null, WaNet: null}\nclean: 100\n")
    values = read_suite(str(path))
    assert list(from_mapping(values).subjects) == ["BadNets", "clean"]
    assert (values["name"], values["clean"], values["trusted"]) == ("mine", 100, 600)
    second = tmp_path / "second.yaml"
    second.write_text(f"base: {path}\n")
    with pytest.raises(ConfigError, match=r"second\.yaml is based on .* a base of its own"):
        read_suite(str(second))
    second.write_text("base: smoek\n")
    with pytest.raises(ConfigError, match="did you mean 'smoke'"):
        read_suite(str(second))


def test_parts_are_run_and_their_cards_say_which(kinds, tmp_path):
    kinds["parts"] = {"few": {"train": 300, "recipe": {"epochs": 16}}, "all": {}}
    kinds["networks"] = {"small": {"network": "digits"}}
    kinds["subjects"] = {"clean": {}}
    kinds["detectors"] = {"confidence": {}}
    outcome = run_suite(from_mapping(kinds), tmp_path / "bench", zoo=tmp_path / "zoo")
    few, everything = outcome.cards
    assert isinstance(few, Scorecard)
    assert (few.part, few.kind, few.data, few.network) == ("few", "small", "digits", "digits")
    assert everything.part == "all"
    assert (few.status, few.reason) == ("done", "")
    assert few.accuracy < everything.accuracy
    assert len(list((tmp_path / "zoo").glob("*.safetensors"))) == 2
    again = run_suite(from_mapping(kinds), tmp_path / "bench", zoo=tmp_path / "nowhere")
    assert again.cards == outcome.cards
