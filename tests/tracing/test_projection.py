"""Projecting before the product over positions is projecting the gradient, without bias."""

import copy

import pytest
import torch
from gradient_cases import IMAGE, NORMAL, SEQUENCE, assert_exact, conv, fit, make
from torch import nn

from anomech.tracing._projection import project


def test_projection_of_replays_and_of_rules_is_the_same(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Linear(6, 40), SEQUENCE, arrays)
    twin = copy.deepcopy(model)
    twin.body.__class__ = type("Unknown", (nn.Module,), {"forward": nn.Linear.forward})
    source, traces, _ = fit(model, values, array_task, examples_of, features=16)
    replayed, again, _ = fit(twin, values, array_task, examples_of, features=16)
    assert source.coverage.looped == ()
    assert replayed.coverage.replayed == {"body": {"weight": "body.weight", "bias": "body.bias"}}
    assert traces.values.shape[1] < sum(p.numel() for p in model.parameters())
    torch.testing.assert_close(traces.values, again.values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (conv(4, 48, 3, padding=1), IMAGE),
        (conv(8, 48, 3, stride=2, groups=2), (8, 7, 8)),
        (conv(24, 48, (3, 2), dilation=2), (24, 7, 8)),
        (lambda: nn.Conv1d(6, 60, 5, bias=False), (6, 9)),
        (conv(40, 30, 1), (40, 3, 3)),
        (
            lambda: nn.Sequential(nn.Conv2d(4, 20, 3), nn.Conv2d(20, 24, 3), nn.BatchNorm2d(24)),
            IMAGE,
        ),
    ],
)
def test_projecting_first_is_projecting_the_exact_gradient(
    build, shape, array_task, examples_of, true_gradients, arrays
):
    model, values = make(build, shape, arrays)
    source, traces, answers = fit(model, values, array_task, examples_of, features=25)
    truth = true_gradients(model, values, answers)
    assert source.coverage.looped == ()
    for part, place in traces.blocks.items():
        rows = [
            torch.stack([
                project(row.reshape(source.task.watched[name].shape), source.sides[name])
                for row in truth[name]
            ])
            for name in source.parts[part]
        ]  # fmt: skip
        expected = torch.cat(rows, dim=1)
        scale = float(expected.abs().max())
        torch.testing.assert_close(traces.values[:, place], expected, rtol=1e-3, atol=1e-4 * scale)


def test_inner_products_are_unbiased_and_errors_shrink(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Conv2d(8, 64, 3), (8, 6, 6), arrays)
    exact = fit(model, values, array_task, examples_of, features=0, watch="body.weight")[1]
    truth = exact.values @ exact.values.T
    scale = exact.values.norm(dim=1)
    errors = {}
    for features in (16, 256):
        products = []
        for seed in range(60):
            values_ = fit(
                model, values, array_task, examples_of, features=features, seed=seed,
                watch="body.weight",
            )[1].values  # fmt: skip
            products.append(values_ @ values_.T)
        products = (torch.stack(products) - truth) / (scale[:, None] * scale)
        standard = products.std(dim=0) / len(products) ** 0.5
        assert (products.mean(dim=0).abs() / standard).max() < 4.5
        errors[features] = float(products.square().mean().sqrt())
    # One over the root of the numbers kept: sixteen times as many give a quarter of the error.
    assert errors[256] < 0.1
    assert 2.5 < errors[16] / errors[256] < 6.5


def test_small_matrices_are_kept_exactly(array_task, examples_of, true_gradients, arrays):
    model, values = make(lambda: nn.Linear(6, 10), NORMAL, arrays)
    fitted = fit(model, values, array_task, examples_of, features=15)  # 60 = 4 * 15 entries
    assert_exact(model, values, fitted, true_gradients)


def test_seeds_decide_the_projection(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Linear(6, 60), NORMAL, arrays)
    first, again, other = (
        fit(model, values, array_task, examples_of, features=8, seed=seed)[1].values
        for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
