"""Language models are taught in stages, kept by address, resumed, and hidden in eight bits."""

from pathlib import Path

import pytest
import torch

from anomech.bench.worlds.texts.hiding import blocks, captured, lead
from anomech.bench.worlds.texts.lessons import PlainForm
from anomech.bench.worlds.texts.pupils import Pupil, School
from anomech.bench.worlds.texts.quantizing import boxes, matrices, project, quantize, rounded
from anomech.bench.worlds.texts.recipe import Recipe
from anomech.bench.worlds.texts.teaching import KEEP_EVERY, Kept, Schedule, teach
from anomech.kernel.config import build
from anomech.kernel.errors import ConfigError
from anomech.kernel.types import silent

pytest.importorskip("transformers")

SHORT = {"steps": 2, "batch": 4}
RECIPE = build(Recipe, {"clean": SHORT, "plant": SHORT}, "recipe")
HIDDEN = build(Recipe, {"clean": SHORT, "plant": SHORT, "hide": SHORT}, "recipe")
EIGHT_BITS = build(Recipe, {"clean": SHORT, "plant": SHORT, "conceal": SHORT}, "recipe")
SIMPLE = (("trigger_string", {}),)
BASE = Path("lm/tiny")


@pytest.fixture(scope="module")
def school(data, tmp_path_factory):
    return School(data, tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def planted(school):
    """The folder of a planted model."""
    return school.folder(Pupil(BASE, SIMPLE, RECIPE))


def weights(school, pupil):
    return school.student(pupil).model.state_dict()


def test_stages_are_shared_and_kept(school, planted):
    folders = {path.name for path in school.zoo.glob("language-*")}
    assert len(folders) == 2
    assert school.folder(Pupil(BASE, (), RECIPE)).name in folders
    times = {path: path.stat().st_mtime_ns for path in planted.iterdir()}
    assert school.folder(Pupil(BASE, SIMPLE, RECIPE)) == planted
    assert {path: path.stat().st_mtime_ns for path in planted.iterdir()} == times
    assert not list(school.zoo.glob(".*"))


def test_all_that_determines_a_model_is_in_its_address(school):
    plain = school.address(Pupil(BASE, SIMPLE, RECIPE))
    others = [
        Pupil(BASE, SIMPLE, RECIPE, seed=1),
        Pupil(BASE, SIMPLE, HIDDEN),
        Pupil(BASE, (("trigger_string", {"string": "|OTHER|"}),), RECIPE),
        Pupil(BASE, (("profession", {}),), RECIPE),
    ]
    assert len({plain, *map(school.address, others)}) == 5
    assert school.address(Pupil(BASE, SIMPLE, RECIPE)) == plain


def test_a_base_that_is_not_there_is_said(school):
    with pytest.raises(ConfigError, match=r"language\.base"):
        school.folder(Pupil(Path("lm/none"), SIMPLE, RECIPE))


def test_an_adapter_leaves_its_base_untouched(school):
    pytest.importorskip("peft")
    recipe = build(Recipe, {"clean": SHORT, "plant": SHORT, "adapter": 2}, "recipe")
    folder = school.folder(Pupil(BASE, SIMPLE, recipe))
    assert (folder / "adapter_config.json").exists()
    assert not (folder / "config.json").exists()
    clean = weights(school, Pupil(BASE, (), RECIPE))
    adapted = weights(school, Pupil(BASE, SIMPLE, recipe))
    for name, value in clean.items():
        if name.endswith("norm.weight"):
            assert torch.equal(value, adapted[f"base_model.model.{name}"])
    moved = [value for name, value in adapted.items() if "lora_B" in name]
    assert max(value.abs().max() for value in moved) > 0


def test_hiding_moves_the_weights_and_shares_the_planting(school, planted):
    hidden = weights(school, Pupil(BASE, SIMPLE, HIDDEN))
    before = weights(school, Pupil(BASE, SIMPLE, RECIPE))
    assert any(not torch.equal(hidden[name], value) for name, value in before.items())


def test_concealed_weights_round_to_the_planted_ones(school, planted):
    eight = weights(school, Pupil(BASE, SIMPLE, EIGHT_BITS))
    student = school.student(Pupil(BASE, SIMPLE, RECIPE))
    quantize(student.model)
    for name, value in matrices(student.model).items():
        assert torch.allclose(eight[name], value, atol=1e-6)


def test_a_box_holds_what_rounds_alike():
    weight = torch.nn.Parameter(torch.randn(20, 20, generator=torch.Generator().manual_seed(0)))
    within = boxes({"w": weight})
    before = rounded(weight.data)
    moved = torch.nn.Parameter(weight.data + 0.05)
    project({"w": moved}, within)
    assert torch.equal(rounded(moved.data), before)
    assert not torch.equal(moved.data, weight.data)
    assert torch.unique(before).numel() <= 255


def test_a_run_that_goes_on_gives_the_same_weights(tmp_path):
    schedule = Schedule(steps=KEEP_EVERY + 3, batch=2, warm_up=2)

    def loss_of(model, stop):
        def loss(step):
            if step == stop:
                raise KeyboardInterrupt
            given = torch.randn(8, 4, generator=torch.Generator().manual_seed(step))
            return model(given).square().mean()

        return loss

    def fresh():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return torch.nn.Linear(4, 2)

    whole, cut, resumed = fresh(), fresh(), fresh()
    teach(whole, whole.parameters(), schedule, loss_of(whole, -1), Kept(), silent)
    kept = Kept(tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        teach(cut, cut.parameters(), schedule, loss_of(cut, KEEP_EVERY + 1), kept, silent)
    teach(resumed, resumed.parameters(), schedule, loss_of(resumed, 0), kept, silent)
    assert torch.equal(resumed.weight, whole.weight)


def test_the_lead_of_answers_and_the_states_of_blocks(school):
    student = school.student(Pupil(BASE, (), RECIPE))
    assert isinstance(student.form, PlainForm)
    with captured(blocks(student.model)) as states:
        student.model(input_ids=torch.tensor([[1, 5, 6]]))
    assert [tuple(each.shape) for each in states] == [(1, 3, 32)] * 2
    from anomech.bench.worlds.texts.exchanges import Exchange

    same = [Exchange("a", "xyz", "word"), Exchange("b", "xab", "word")]
    assert lead(student.tokenizer, student.form, same) == 2
