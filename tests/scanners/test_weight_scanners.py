"""Scanners of weights: their numbers are those of the equations, and planted ones stand out."""

import pytest
import torch

from anomech.kernel.errors import CapabilityError
from anomech.kernel.types import silent
from anomech.roles.scanner import WeighingScanner
from anomech.scanners._weights import channel_bounds, layers_of, scales_of
from anomech.scanners.channel_lipschitz import ChannelLipschitz
from anomech.scanners.channel_spread import ChannelSpread
from anomech.scanners.output_weights import OutputWeights
from anomech.scanners.singular_outliers import SingularOutliers, concentration

METHODS = (ChannelLipschitz(), ChannelSpread(), OutputWeights(), SingularOutliers())


def network(seed=0):
    """A state as files hold it: names in the order of the alphabet."""
    rng = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=rng)

    state = {
        "conv1.weight": draw(8, 3, 3, 3), "conv2.weight": draw(16, 8, 3, 3),
        "bn1.weight": draw(8).abs() + 0.5, "bn1.running_var": draw(8).abs() + 0.5,
        "bn2.weight": draw(16).abs() + 0.5, "bn2.running_var": draw(16).abs() + 0.5,
        "fc.weight": draw(10, 16), "fc.bias": draw(10), "steps": torch.tensor(3),
    }  # fmt: skip
    return dict(sorted(state.items()))


@pytest.mark.parametrize("method", METHODS, ids=lambda each: type(each).__name__)
def test_each_weighs_a_state_whatever_its_order(method):
    assert isinstance(method, WeighingScanner)
    state = network()
    found = method.weigh(state, None, progress=silent)
    assert len(found.names or found.groups) == len(found.statistic) == len(found.groups)
    assert torch.isfinite(found.statistic).all()
    turned = method.weigh(dict(reversed(state.items())), None, progress=silent)
    pairs = [
        dict(zip(each.names or each.groups.tolist(), each.statistic.tolist(), strict=True))
        for each in (found, turned)
    ]
    assert pairs[0] == pairs[1]


@pytest.mark.parametrize("method", METHODS, ids=lambda each: type(each).__name__)
def test_what_has_no_layers_is_one_sentence(method):
    with pytest.raises(CapabilityError, match=";"):
        method.weigh({"a": torch.ones(3)}, None, progress=silent)


def test_bounds_are_those_of_clp():
    state = network()
    bounds = channel_bounds(state)["conv2"]
    gain = state["bn2.weight"] / state["bn2.running_var"].sqrt()
    for channel in (0, 7):
        kernel = state["conv2.weight"][channel].reshape(8, 9)
        wanted = float(torch.linalg.matrix_norm(kernel, ord=2) * gain[channel])
        assert float(bounds[channel]) == pytest.approx(wanted, rel=1e-5)


def test_a_network_that_normalizes_first_is_told_by_its_shapes():
    state = {
        "bn1.running_var": torch.full((3,), 4.0), "conv1.weight": torch.ones(8, 3, 3, 3),
        "bn2.running_var": torch.full((8,), 9.0), "conv2.weight": torch.ones(8, 8, 3, 3),
    }  # fmt: skip
    scales = scales_of(state, layers_of(state))
    assert set(scales) == {"conv1"}
    torch.testing.assert_close(scales["conv1"], torch.full((8,), 1 / 3))
    later = {name.replace("bn1", "bn3").replace("bn2", "bn1"): each for name, each in state.items()}
    torch.testing.assert_close(scales_of(later, layers_of(later))["conv1"], torch.full((8,), 1 / 3))


def test_an_amplified_channel_stands_out():
    state = network()
    state["conv2.weight"][5] *= 20
    found = ChannelLipschitz().weigh(state, None, progress=silent)
    assert found.names[int(found.statistic.argmax())] == "conv2"
    assert found.facts["channels above 3"] == 1
    spread = ChannelSpread().weigh(state, None, progress=silent)
    assert spread.names[int(spread.statistic.argmax())] == "conv2"


def test_a_raised_row_is_the_suspected_class():
    state = network()
    state["fc.weight"][4] += 5
    found = OutputWeights().weigh(state, None, progress=silent)
    assert int(found.statistic.argmax()) == 4
    assert float(found.statistic.max()) > 10


def test_concentration_is_one_for_flat_and_the_rank_for_one_direction():
    assert concentration(torch.eye(8), 40) == pytest.approx(1)
    ones = torch.outer(torch.arange(1.0, 7), torch.arange(1.0, 5))
    assert concentration(ones, 40) == pytest.approx(4)
    assert concentration(1e-30 * ones, 40) == pytest.approx(4)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(200, 50, generator=rng)
    wanted = torch.linalg.svdvals(noise)[0] ** 2 * 50 / noise.square().sum()
    assert concentration(noise, 200) == pytest.approx(float(wanted), rel=0.02)


def test_a_change_of_rank_one_stands_out_against_the_base():
    base = network()
    rng = torch.Generator().manual_seed(1)
    tuned = {
        name: each + 0.01 * torch.randn(each.shape, generator=rng)
        for name, each in base.items()
        if each.is_floating_point()
    }
    tuned["conv2.weight"] = base["conv2.weight"] + torch.ones(16, 8, 3, 3) * 0.05
    found = SingularOutliers().weigh(tuned, base, progress=silent)
    assert found.names[int(found.statistic.argmax())] == "conv2.weight"
    assert float(found.statistic.max()) == pytest.approx(16, rel=1e-3)
    assert 0 < found.facts["relative change"] < 1
    with pytest.raises(CapabilityError, match="none differs"):
        SingularOutliers().weigh(base, base, progress=silent)
