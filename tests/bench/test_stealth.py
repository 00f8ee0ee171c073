"""How well attacks hide: each measure against its definition, and a bench of two attacks."""

import numpy as np
import pytest
import torch

from anomech.bench.stealth_measures import (
    feature_traces,
    input_traces,
    last_map,
    repair_der,
    sliced_wasserstein,
    ssim,
    weight_traces,
)
from anomech.bench.stealth_run import run_stealth
from anomech.bench.stealth_suite import from_mapping
from anomech.kernel.errors import ConfigError, RunError
from anomech.report.stealth.render import tables
from anomech.roles.task import Units

RNG = np.random.default_rng(0)


def test_pixels_are_measured_by_their_formulas():
    images = RNG.integers(0, 200, (5, 12, 12, 3)).astype(np.uint8)
    found = input_traces(images, images + 10)
    assert found.linf == pytest.approx(10)
    assert found.l2 == pytest.approx(10 / 255 * np.sqrt(12 * 12 * 3))
    assert found.psnr == pytest.approx(20 * np.log10(255 / 10), rel=1e-6)
    same = images / 255
    np.testing.assert_allclose(ssim(same, same), 1)
    assert ssim(same, RNG.random(same.shape)).max() < 0.3


def test_features_that_lie_apart_are_told_from_mixed_ones():
    target = RNG.standard_normal((60, 8)) + 3
    apart = feature_traces(target, RNG.standard_normal((60, 8)) - 3, 0)
    mixed = feature_traces(target, RNG.standard_normal((60, 8)) + 3, 0)
    assert apart.silhouette > 0.6 > 0.1 > mixed.silhouette
    assert apart.davies_bouldin < mixed.davies_bouldin
    assert apart.wasserstein > 5 * mixed.wasserstein
    assert sliced_wasserstein(target, target[::-1], 0) == pytest.approx(0, abs=1e-9)


def test_a_channel_that_stands_out_is_counted():
    weight = torch.randn(32, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[7] *= 20
    unit = Units("conv", "conv.weight", "", "conv.weight", "", 0.0, 32)
    maps = torch.rand(6, 32, 4, 4, generator=torch.Generator().manual_seed(1))
    moved = maps.clone()
    moved[:, 3] += 5
    found = weight_traces({"conv.weight": weight}, (unit,), maps, moved)
    assert found.outliers == 1
    assert found.lipschitz > 4
    assert found.activated == pytest.approx(32, rel=1e-4)
    assert weight_traces({"conv.weight": weight}, (unit,), maps, maps).activated == 1


def test_the_last_map_is_that_of_the_last_convolution():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.Conv2d(2, 5, 3), torch.nn.ReLU(), torch.nn.Flatten()
    )
    assert last_map(network, torch.rand(3, 1, 8, 8)).shape == (3, 5, 4, 4)
    assert not network[1]._forward_hooks


def test_a_repair_is_rated_by_what_it_takes_and_costs():
    assert repair_der(1.0, 0.9, 0.0, 0.9) == 1
    assert repair_der(1.0, 0.9, 1.0, 0.9) == 0.5
    assert repair_der(0.5, 0.9, 0.6, 0.8) == pytest.approx(0.45)


@pytest.fixture(scope="module")
def suite():
    return from_mapping(
        {
            "name": "tiny",
            "data": "digits",
            "network": {"use": "resnet14", "width": 4},
            "recipe": {"epochs": 6, "batch": 32, "peak": 0.1, "augment": "none"},
            "attacks": {
                "patch": {"use": "badnets", "ratio": 0.15, "size": 2},
                "universal": {
                    "use": "grond",
                    "goal": {"target": 2},
                    "deviations": 1.0,
                    "search": {"eps": 64, "steps": 30, "batch": 64},
                },
            },
            "repairs": {"clp": {}},
            "detectors": {"confidence": {}},
            "scanners": {"output_weights": {}, "channel_lipschitz": {}},
            **{"trusted": 120, "judged": 200},
        }
    )


@pytest.fixture(scope="module")
def finished(suite, tmp_path_factory):
    place = tmp_path_factory.mktemp("stealth")
    return place, run_stealth(suite, place / "out", zoo=place / "zoo")


def test_success_on_the_clean_twin_stands_beside_every_success(finished):
    _, run = finished
    patch, universal = run.cells
    assert patch.success > 0.8
    assert patch.carried < 0.1
    assert universal.carried > patch.carried + 0.1
    assert universal.planted == pytest.approx(universal.success - universal.carried)
    assert universal.inputs.ssim < 1
    assert patch.repaired[0].repair == "clp"
    assert 0 <= patch.detected[0].auroc <= 1
    for cell, target in ((patch, 0), (universal, 2)):
        classes, layers = cell.scanned
        assert classes.right == (classes.found == target)
        assert classes.found in range(10)
        assert not classes.problem
        assert "compares layers" in layers.problem


def test_it_is_kept_attack_by_attack_and_shown(finished, suite):
    place, run = finished
    times = [path.stat().st_mtime_ns for path in sorted((place / "out" / "cells").iterdir())]
    assert run_stealth(suite, place / "out", zoo=place / "zoo") == run
    kept = [path.stat().st_mtime_ns for path in sorted((place / "out" / "cells").iterdir())]
    assert kept == times
    page = (place / "out" / "report.html").read_text()
    for table in tables(run):
        assert table.title in page
        assert all(len(row) == len(table.head) for row in table.rows)
    assert "| patch |" in (place / "out" / "stealth.md").read_text()
    with pytest.raises(RunError, match="differs in seed"):
        run_stealth(from_mapping({**dict(vars(suite)), "seed": 3}), place / "out", zoo=place)


def test_suites_that_plant_nothing_are_refused():
    with pytest.raises(ConfigError, match="no attacks"):
        from_mapping({"name": "x"})
    with pytest.raises(ConfigError, match="plants nothing"):
        from_mapping({"name": "x", "attacks": {"pgd": {}}})
