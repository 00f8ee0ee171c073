"""Gradient traces are the per-example gradients of the log-odds, for any layer or none."""

import copy

import numpy as np
import pytest
import torch
from gradient_cases import (
    COUNT,
    IMAGE,
    NORMAL,
    SEQUENCE,
    SIGNAL,
    TOKENS,
    assert_exact,
    conv,
    fit,
    make,
)
from torch import nn
from toy_networks import (
    Attention,
    Bare,
    Branching,
    Doubled,
    Gated,
    Keyword,
    Merged,
    Positions,
    Rare,
    Shared,
    Tied,
    Twice,
    TwoPaths,
)
from toy_tasks import LinearTask

from anomech.architectures._vgg import Vgg
from anomech.architectures.vit import VisionTransformer
from anomech.attribution.couplings import cosine
from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.tracing._parts import joined
from anomech.tracing.gradient import Gradient

EXACT = {
    "linear": (lambda: nn.Linear(6, 5), NORMAL),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), NORMAL),
    "linear over a sequence": (lambda: nn.Linear(6, 5), SEQUENCE),
    "linear over a grid": (lambda: nn.Linear(6, 5), (2, 3, 6)),
    "conv1d": (lambda: nn.Conv1d(4, 3, 3, stride=2, padding=1, dilation=2), SIGNAL),
    "conv1d circular": (lambda: nn.Conv1d(4, 3, 3, padding=1, padding_mode="circular"), SIGNAL),
    "conv2d": (conv(4, 6, 3, padding=1), IMAGE),
    "conv2d without bias": (conv(4, 6, 3, bias=False), IMAGE),
    "conv2d strided, uneven": (conv(4, 6, (3, 2), stride=(2, 3), padding=(1, 0)), IMAGE),
    "conv2d dilated": (conv(4, 6, 3, padding=2, dilation=2), IMAGE),
    "conv2d grouped": (conv(4, 6, 3, padding=1, groups=2), IMAGE),
    "conv2d depthwise": (conv(4, 8, 3, padding=1, groups=4, stride=2), IMAGE),
    "conv2d same": (conv(4, 6, (4, 3), padding="same"), IMAGE),
    "conv2d reflect": (conv(4, 6, 3, padding=1, padding_mode="reflect"), IMAGE),
    "conv2d same, reflect": (conv(4, 6, 4, padding="same", padding_mode="reflect"), IMAGE),
    "batch norm 1d": (lambda: nn.BatchNorm1d(6), NORMAL),
    "batch norm over a signal": (lambda: nn.BatchNorm1d(4), SIGNAL),
    "batch norm 2d": (lambda: nn.BatchNorm2d(4), IMAGE),
    "batch norm without affine": (lambda: nn.BatchNorm2d(4, affine=False), IMAGE),
    "group norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "layer norm": (lambda: nn.LayerNorm(6), SEQUENCE),
    "layer norm over two axes": (lambda: nn.LayerNorm((7, 8)), IMAGE),
    "layer norm without bias": (lambda: nn.LayerNorm(6, bias=False), SEQUENCE),
    "embedding": (lambda: nn.Embedding(9, 5), TOKENS),
    "embedding with padding": (lambda: nn.Embedding(9, 5, padding_idx=3), TOKENS),
    "tied embedding": (Tied, TOKENS),
    "a module used twice": (Twice, NORMAL),
    "input by keyword": (Keyword, NORMAL),
    "rms norm": (lambda: nn.RMSNorm(6), SEQUENCE),
    "batch norm used elsewhere too": (Shared, IMAGE),
    "convolutions and their norms": (
        lambda: nn.Sequential(
            nn.Conv2d(4, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, stride=2, groups=2),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 5, 1, bias=False),
            nn.BatchNorm2d(5, affine=False),
        ),
        IMAGE,
    ),
    "vgg": (lambda: Vgg((6, "pool", 5, 5, "pool"), classes=4, channels=4), IMAGE),
    "vision transformer": (
        lambda: VisionTransformer(classes=4, channels=4, width=8, depth=2, heads=2),
        IMAGE,
    ),
    "two first layers": (TwoPaths, NORMAL),
    "relu in place": (lambda: nn.Sequential(nn.Linear(6, 6), nn.ReLU(inplace=True)), NORMAL),
    "batch norm, relu in place": (
        lambda: nn.Sequential(nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True)),
        IMAGE,
    ),
}
REPLAYED = {
    # By the module that is replayed ("" is the whole network) and the parameters it stands for.
    "tied without a module": (
        lambda: Tied(functionally=True), TOKENS, {"": {"body.embed.weight"}},
    ),
    "bare parameters": (Bare, NORMAL, {"body": {"body.scale", "body.temperature"}}),
    "attention": (
        Attention,
        SEQUENCE,
        {
            "body.attention": {"body.attention.in_proj_weight", "body.attention.in_proj_bias"},
            "": {"body.attention.out_proj.weight", "body.attention.out_proj.bias"},
        },
    ),
    "a forward of its own": (
        lambda: Doubled(6, 6), NORMAL, {"body": {"body.weight", "body.bias"}},
    ),
    "shared positions": (Positions, TOKENS, {"": {"body.positions.weight"}}),
    "shared positions with an axis": (
        lambda: Positions(keep=True), TOKENS, {"": {"body.positions.weight"}},
    ),
    "examples merged with positions": (
        Merged, SEQUENCE, {"": {"body.layer.weight", "body.layer.bias"}},
    ),
    "3d convolution": (
        lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv3d(1, 2, 3)),
        IMAGE,
        {"body.1": {"body.1.weight", "body.1.bias"}},
    ),
    "a transposed convolution": (
        lambda: nn.ConvTranspose2d(4, 2, 3, stride=2), IMAGE,
        {"body": {"body.weight", "body.bias"}},
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding")
@pytest.mark.parametrize("name", EXACT)
def test_layer_rules_equal_autograd(name, array_task, examples_of, true_gradients, arrays):
    model, values = make(*EXACT[name], arrays)
    fitted = fit(model, values, array_task, examples_of, features=0, batch=4)
    assert fitted[0].coverage.looped == ()
    assert_exact(model, values, fitted, true_gradients)


@pytest.mark.parametrize("name", REPLAYED)
def test_what_no_rule_covers_is_replayed_and_exact(
    name, array_task, examples_of, true_gradients, arrays
):
    build, shape, expected = REPLAYED[name]
    model, values = make(build, shape, arrays)
    fitted = fit(model, values, array_task, examples_of, features=0, batch=4)
    coverage = fitted[0].coverage
    assert coverage.looped == ()
    assert {module: set(owned.values()) for module, owned in coverage.replayed.items()} == expected
    assert fitted[0].evaluations == (6 if "" in expected else 3)
    assert_exact(model, values, fitted, true_gradients)


def test_what_cannot_be_mapped_is_looped_and_exact(array_task, examples_of, true_gradients, arrays):
    model, values = make(Branching, NORMAL, arrays)
    fitted = fit(model, values, array_task, examples_of, features=0, batch=4)
    assert fitted[0].coverage.looped == ("body.scale",)
    assert fitted[0].evaluations == 6
    assert fitted[0].health.facts["parameters traced one example at a time"] == 1
    assert_exact(model, values, fitted, true_gradients)


def test_a_bare_parameter_that_is_silent_at_first_is_exact(
    array_task, examples_of, true_gradients, arrays
):
    model, values = make(Gated, NORMAL, arrays)
    values[3:, 0] = 12
    fitted = fit(model, values, array_task, examples_of, features=0, batch=4)
    assert_exact(model, values, fitted, true_gradients)


def test_a_branch_that_the_probes_do_not_enter_is_exact(
    array_task, examples_of, true_gradients, arrays
):
    model, values = make(Rare, NORMAL, arrays)
    values[3:5, 0] = 12
    fitted = fit(model, values, array_task, examples_of, features=0, batch=4)
    assert_exact(model, values, fitted, true_gradients)


def test_a_layer_that_is_never_used_is_zero_and_costs_nothing(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Linear(6, 6), NORMAL, arrays)
    model.unused = nn.Linear(3, 3)
    source, traces, _ = fit(model, values, array_task, examples_of, features=0, parts=1)
    assert source.coverage.looped == ()
    assert not traces.values[:, -12:].any()


def test_low_precision_models_are_traced_in_float32(
    array_task, examples_of, true_gradients, arrays
):
    model, values = make(lambda: nn.Sequential(nn.Linear(6, 40), nn.LayerNorm(40)), NORMAL, arrays)

    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model.bfloat16()

        def forward(self, x):
            return self.inner(x.bfloat16())

    source, traces, answers = fit(Cast(), values, array_task, examples_of, features=0)
    assert source.coverage.looped == ()
    assert traces.values.dtype == torch.float32
    truth = joined(true_gradients(Cast(), values, answers), source.parts)
    assert float((traces.values - truth).norm() / truth.norm()) < 0.05
    projected = fit(Cast(), values, array_task, examples_of, features=16)[1]
    assert torch.isfinite(projected.values).all()


def test_watched_layers_alone_are_traced(array_task, examples_of, true_gradients, arrays):
    model, values = make(lambda: nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6)), NORMAL, arrays)
    for watch, names in (
        ("last", ["head.weight", "head.bias"]),
        ("body.1.*", ["body.1.weight", "body.1.bias"]),
        ("*.bias", ["body.0.bias", "body.1.bias", "head.bias"]),
    ):
        source, traces, answers = fit(
            model, values, array_task, examples_of, watch=watch, features=0, parts=1
        )
        assert list(source.sides) == names
        truth = true_gradients(model, values, answers)
        expected = torch.cat([truth[name] for name in names], dim=1)
        torch.testing.assert_close(traces.values, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("features", [0, 16])
def test_batch_size_does_not_matter(features, array_task, examples_of, arrays):
    model, values = make(
        lambda: nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8)), IMAGE, arrays
    )
    whole = fit(model, values, array_task, examples_of, features=features)[1]
    for batch in (1, 3):
        parts = fit(model, values, array_task, examples_of, features=features, batch=batch)[1]
        torch.testing.assert_close(parts.values, whole.values, rtol=1e-5, atol=1e-6)


def test_blocks_cover_all_features_in_the_order_of_the_network(
    array_task, examples_of, true_gradients, arrays
):
    model, values = make(
        lambda: nn.Sequential(*[nn.Linear(6, 6) for _ in range(6)]), NORMAL, arrays
    )
    source, traces, answers = fit(model, values, array_task, examples_of, features=0, parts=4)
    assert list(traces.blocks) == [
        "body.0 to body.1",
        "body.2 to body.3",
        "body.4 to body.5",
        "head",
    ]
    truth = true_gradients(model, values, answers)
    for part, place in traces.blocks.items():
        expected = torch.cat([truth[name] for name in source.parts[part]], dim=1)
        torch.testing.assert_close(traces.values[:, place], expected, rtol=1e-4, atol=1e-6)


def test_log_odds_keep_the_direction_where_the_loss_underflows(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Linear(6, 6), NORMAL, arrays)
    sure = copy.deepcopy(model)
    with torch.no_grad():
        sure.head.weight *= 60
        sure.head.bias *= 60
    traces = fit(sure, values, array_task, examples_of, features=0)[1]
    assert torch.isfinite(traces.values).all()
    assert (traces.values.norm(dim=1) > 0.1).all()
    assert cosine(traces.values, traces.values).diagonal().allclose(torch.ones(COUNT))


def test_hooks_are_removed_even_after_a_failure(array_task, examples_of, arrays):
    model, values = make(lambda: nn.Linear(6, 6), NORMAL, arrays)
    source, _, answers = fit(model, values, array_task, examples_of)
    bad = examples_of(values[:, :3])
    with pytest.raises(RuntimeError):
        source(bad, answers, silent)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks


def test_a_task_without_layers_is_refused(examples_of):
    with pytest.raises(CapabilityError, match="layers"):
        Gradient().fit(
            LinearTask(), examples_of(np.zeros((1, 1))), torch.zeros(1), seed=0, progress=silent
        )
