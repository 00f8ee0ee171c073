"""Scores under attack: four columns, kept network by network, on a page; and `anomech train`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from anomech.artefacts.factory import build_model
from anomech.bench.flip_judging import fpr95
from anomech.bench.flip_run import run_flips
from anomech.bench.flip_suite import as_yaml, from_mapping
from anomech.bench.training_plan import from_mapping as training_of
from anomech.bench.training_run import run_training
from anomech.bench.worlds.images import datasets
from anomech.kernel.errors import ConfigError, ModelError, RunError
from anomech.learning.training import predict
from anomech.report.flips.render import headline, lines, parts

RECIPE = {"epochs": 6, "batch": 32, "peak": 0.1, "augment": "none"}
PLAN = {"data": "digits", "network": "digits", "recipe": RECIPE, "attacked": 40, "device": "cpu"}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    """A folder of foreign images."""
    folder, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for place in range(60):
        Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8)).save(folder / f"{place}.png")
    return str(folder)


@pytest.fixture(scope="module")
def suite(noise):
    return from_mapping(
        {
            **{"name": "tiny", "data": "digits", "network": "digits", "recipe": RECIPE},
            **{"outliers": noise, "near": [noise], "trusted": 60, "normal": 40, "foreign": 40},
            "trainers": {"standard": {}, "shown": {"use": "outlier_exposure"}},
            "detectors": {
                "confidence": {},
                "traced": {"use": "coupling_score"},
                "attributed": {
                    "use": "functional_attribution",
                    "tracer": "last_layer",
                    "twins": {"rungs": 0},
                },
            },
            **{"eps": 30, "steps": 4},
        }
    )


@pytest.fixture(scope="module")
def finished(suite, tmp_path_factory):
    place = tmp_path_factory.mktemp("flips")
    return place, run_flips(suite, place / "out", zoo=place / "zoo")


def test_an_attack_lowers_what_it_is_meant_to_lower(finished):
    _, run = finished
    assert run.status == "complete"
    assert len(run.rows) == 6
    found = {(line.trainer, line.detector): line for line in lines(run.rows)}
    plain, shown = (found[(name, "confidence")] for name in ("standard", "shown"))
    assert plain.auroc[0] > plain.auroc[1] > plain.auroc[3]
    assert plain.auroc[0] > plain.auroc[2] > plain.auroc[3]
    assert plain.fpr95[0] < plain.fpr95[3]
    assert shown.auroc[0] > plain.auroc[0]
    assert not plain.transferred
    assert found[("standard", "traced")].transferred
    attributed = found[("standard", "attributed")]
    assert not attributed.transferred  # states between the layers can be followed back too
    assert attributed.auroc[3] < attributed.auroc[0]
    assert "of those whose own score could be climbed" in headline(run)
    assert all(min(row.auroc) == row.auroc[3] for row in run.rows)  # nobody gains by an attack
    assert [name for name, _ in parts(run)][:2] == ["all foreign sets", "near sets"]


def test_what_is_done_is_not_done_again_and_the_page_shows_it(finished, suite):
    place, run = finished
    cells = sorted((place / "out" / "cells").iterdir())
    times = [path.stat().st_mtime_ns for path in cells]
    assert run_flips(suite, place / "out", zoo=place / "zoo") == run
    assert [path.stat().st_mtime_ns for path in cells] == times
    page = (place / "out" / "report.html").read_text()
    assert "transferred" in page
    assert "<script" not in page
    assert "| confidence | shown |" in (place / "out" / "flips.md").read_text()
    other = from_mapping({**json.loads(json.dumps(suite_values(suite))), "eps": 31})
    with pytest.raises(RunError, match=r"another form of this suite \(it differs in eps\)"):
        run_flips(other, place / "out", zoo=place / "zoo")


def suite_values(suite):
    import yaml

    return yaml.safe_load(as_yaml(suite))


def test_fpr95_is_the_share_of_foreign_below_the_95th_of_normal():
    normal = np.arange(100.0)
    assert fpr95(normal, np.array([0.0, 94.0, 95.0, 200.0])) == 0.5


def test_a_training_is_written_so_that_it_can_be_audited(tmp_path, noise):
    plan = training_of({**PLAN, "trainer": "outlier_exposure", "outliers": noise})
    run = run_training(plan, tmp_path / "run")
    assert (run.status, run.examples, run.outliers) == ("complete", 809, 60)
    assert run.accuracy > 0.8
    assert run.robust is not None
    assert len(run.losses) == 6
    network = build_model(f"{tmp_path / 'run' / 'model.py'}:network")
    network.load_state_dict(load_file(tmp_path / "run" / "network.safetensors"))
    images, labels = datasets.load("digits", None).test
    assert (predict(network.eval(), images) == labels).mean() == run.accuracy
    assert not (tmp_path / "run" / "work").exists()
    assert run_training(plan, tmp_path / "run") == run
    with pytest.raises(RunError, match=r"another plan \(it differs in seed\)"):
        run_training(training_of({**PLAN, "trainer": "outlier_exposure", "outliers": noise,
                                  "seed": 2}), tmp_path / "run")  # fmt: skip


def test_a_killed_training_goes_on_in_its_folder(tmp_path):
    plan, seen = training_of({**PLAN, "trainer": "standard"}), []

    def stop(stage, done, total):
        if stage == "training" and done == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(plan, tmp_path / "run", progress=stop)
    assert json.loads((tmp_path / "run" / "training.json").read_text())["status"] == "interrupted"
    run_training(plan, tmp_path / "run", progress=lambda stage, done, total: seen.append(done))
    assert seen[0] == 51
    run_training(plan, tmp_path / "whole")
    one, two = (load_file(tmp_path / each / "network.safetensors") for each in ("run", "whole"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_network_of_ones_own_is_trained(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\ndef make():\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
        "\ndef wrong():\n    return nn.Linear(3, 10)\n"
    )
    plan = training_of({**PLAN, "trainer": "standard", "factory": f"{tmp_path}/mine.py:make"})
    run = run_training(plan, tmp_path / "run")
    assert run.network == "mine.py:make"
    assert run.accuracy > 0.7
    assert not (tmp_path / "run" / "model.py").exists()
    wrong = training_of({**PLAN, "trainer": "standard", "factory": f"{tmp_path}/mine.py:wrong"})
    with pytest.raises(ConfigError, match="does not take these images"):
        run_training(wrong, tmp_path / "other")
    gone = training_of({**PLAN, "trainer": "standard", "factory": "gone.py:make"})
    with pytest.raises(ModelError, match="does not exist"):
        run_training(gone, tmp_path / "other")


def test_plans_that_do_not_fit_are_refused(noise):
    with pytest.raises(ConfigError, match="names no data"):
        training_of({"trainer": "standard"})
    with pytest.raises(ConfigError, match="halo learns from outliers"):
        training_of({**PLAN, "trainer": "halo"})
    with pytest.raises(ConfigError, match="trades has no use for outliers"):
        training_of({**PLAN, "trainer": "trades", "outliers": noise})
    with pytest.raises(ConfigError, match="no detectors"):
        from_mapping({"trainers": {"standard": {}}, "near": [noise]})
