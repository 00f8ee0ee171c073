"""Draws have the moments they are said to have, and are replayed."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from toy_tasks import LinearTask, QuadraticTask

from anomech.attribution.couplings import center
from anomech.kernel.types import Response, silent
from anomech.roles.task import Training
from anomech.tracing import rmsprop_sgld, sgld
from anomech.tracing._chain import Chain
from anomech.tracing.gaussian import Gaussian, recalibrated

FEATURES, COUNT = 3, 8


@pytest.fixture
def points(arrays, examples_of):
    return examples_of(arrays(COUNT, FEATURES))


def answers_of(examples):
    return torch.zeros(len(examples), dtype=torch.int64)


def trace(tracer, task, examples, seed=0):
    source = tracer.fit(task, examples, answers_of(examples), seed=seed, progress=silent)
    return source, source(examples, answers_of(examples), silent)


@pytest.mark.parametrize("antithetic", [True, False])
@pytest.mark.parametrize("observable", ["loss", "log_odds"])
def test_covariance_of_linear_losses_is_that_of_gradients(antithetic, observable, points):
    sigma, draws = 0.05, 8000
    tracer = Gaussian(draws=draws, sigma=sigma, antithetic=antithetic, observable=observable)
    _, traces = trace(tracer, LinearTask(), points)
    centered = center(traces.values.double())
    covariance = centered @ centered.T / draws
    gradients = torch.from_numpy(points.values).double()
    truth = sigma**2 * gradients @ gradients.T
    # Var of a sample covariance of Gaussians: (c_ii c_jj + c_ij^2) / n; pairs count once.
    independent = draws / 2 if antithetic else draws
    error = ((truth.diagonal()[:, None] * truth.diagonal() + truth**2) / independent).sqrt()
    assert ((covariance - truth).abs() / error).max() < 4.5
    assert traces.centered
    assert list(traces.blocks) == ["draws"]


def test_antithetic_pairs_are_exactly_odd_and_take_out_curvature(points):
    task = LinearTask()
    _, traces = trace(Gaussian(draws=40, sigma=0.01, observable="loss"), task, points)
    start = task.respond({}, points.values).losses[:, None]
    plus, minus = traces.values[:, 0::2] - start, traces.values[:, 1::2] - start
    torch.testing.assert_close(plus, -minus, rtol=0, atol=1e-6)
    curved = LinearTask(curvature=5.0)
    source, _ = trace(Gaussian(draws=40, sigma=0.01, observable="loss"), curved, points)
    values = source.observe(points, answers_of(points), silent)
    odd = (values[:, 0::2] - values[:, 1::2]) / 2
    start = curved.watched["theta"]
    moves = torch.stack([draw["theta"] - start for draw in source.draws(0)])[0::2]
    gradients = torch.from_numpy(points.values) + 2 * curved.curvature * start
    torch.testing.assert_close(odd, gradients @ moves.T, rtol=0, atol=3e-6)
    assert (values[:, 0::2] + values[:, 1::2]).std(dim=1).min() > 0


def test_levels_are_means_over_draws(points):
    source, traces = trace(Gaussian(draws=40, sigma=0.1), LinearTask(curvature=1.0), points)
    values = source.observe(points, answers_of(points), silent)
    torch.testing.assert_close(traces.levels, values.mean(dim=1))
    torch.testing.assert_close(traces.values.mean(dim=1), traces.levels, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("normalization", ["frozen", "recalibrated", "lagged"])
def test_gaussian_draws_are_replayed(normalization, digits_world):
    tracer = Gaussian(draws=6, least=0, normalization=normalization, sigma=0.01)
    trusted, task = digits_world.trusted, digits_world.task
    answers = task.respond({}, trusted.values).answers
    source = tracer.fit(task, trusted, answers, seed=0, progress=silent)
    first, again = list(source.draws(0)), list(source.draws(0))
    assert len(first) == 6
    for one, two in zip(first, again, strict=True):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    has_buffers = any("running" in name for name in first[0])
    assert has_buffers == (normalization != "frozen")


@pytest.mark.parametrize("rise", [0.002, 0.05])
def test_the_chosen_sigma_gives_the_wanted_rise(rise, digits_world):
    task, trusted = digits_world.task, digits_world.trusted
    answers = task.respond({}, trusted.values).answers
    tracer = Gaussian(draws=60, rise=rise, least=0, observable="loss")
    source = tracer.fit(task, trusted, answers, seed=0, progress=silent)
    before = task.respond({}, trusted.values).losses.mean()
    with torch.no_grad():
        after = torch.stack(
            [task.respond(draw, trusted.values, answers).losses.mean() for draw in source.draws(0)]
        )
    # Chosen on four draws and 256 examples, so the rise over sixty draws is near and not equal.
    assert rise / 2 < float(after.mean() - before) < rise * 2
    double = Gaussian(draws=60, rise=2 * rise, least=0).fit(
        task, trusted, answers, seed=0, progress=silent
    )
    assert double.draws.sigma > source.draws.sigma


def test_recalibrated_buffers_are_batch_statistics(digits_world):
    task, values = digits_world.task, digits_world.trusted.values
    found = recalibrated(task, ({},), (values[:100], values[100:200]))
    net, expected = digits_world.model, []
    for half in (values[:100], values[100:200]):
        x = torch.from_numpy(half).permute(0, 3, 1, 2).float() / 255
        first = nn.functional.conv2d(x, net.conv1.weight, padding=1)
        expected.append((first.mean(dim=(0, 2, 3)), first.var(dim=(0, 2, 3), correction=1)))
    mean = (expected[0][0] + expected[1][0]) / 2
    variance = (expected[0][1] + expected[1][1]) / 2
    torch.testing.assert_close(found["bn1.running_mean"], mean.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["bn1.running_var"], variance.detach(), rtol=1e-4, atol=1e-6)
    assert found["bn1.num_batches_tracked"].dtype == torch.int64
    assert recalibrated(task, ({},), ()) == {}


class Statistics(LinearTask):
    """Its only statistic is the parameter itself, so a buffer says where its batches were."""

    kind = "toy"
    provides = frozenset({Training})

    def __init__(self):
        super().__init__()
        self.watched = {"theta": torch.zeros(400)}

    def respond(self, overlay, batch, answers=None):
        losses = torch.from_numpy(batch)[:, 0] + overlay.get("theta", torch.zeros(1)).sum()
        return Response(torch.zeros(len(batch)).long(), -losses, losses)

    def targets(self, labels):
        return torch.from_numpy(labels)

    def training_losses(self, overlay, batch, answers):
        raise NotImplementedError

    def batch_statistics(self, overlay, batch):
        return {"mean": overlay["theta"]}


def test_lagged_statistics_follow_the_draws_as_those_of_the_published_chain(examples_of, arrays):
    """Moments of `0.1 sum_k 0.9^k s_{t-k}` for a state that keeps 0.95 of itself in a step."""
    rng, steps = np.random.default_rng(0), 20000
    state, average, kept = np.zeros(40), np.zeros(40), []
    for _ in range(steps):
        state = 0.95 * state + (1 - 0.95**2) ** 0.5 * rng.normal(size=40)
        average = 0.9 * average + 0.1 * state
        kept.append((average * state).mean()), kept.append((average**2).mean())
    covariance, variance = np.mean(kept[0::2]), np.mean(kept[1::2])
    task, sigma = Statistics(), 0.5
    tracer = Gaussian(draws=60, sigma=sigma, normalization="lagged", antithetic=False, least=0)
    examples = examples_of(arrays(512, 1))
    source = tracer.fit(task, examples, answers_of(examples), seed=0, progress=silent)
    draws = [(draw["theta"] / sigma, draw["mean"] / sigma) for draw in source.draws(0)]
    found = [
        float(torch.stack([a * b for a, b in draws]).mean()),
        float(torch.stack([b * b for _, b in draws]).mean()),
    ]
    assert found == pytest.approx([covariance, variance], abs=0.05)


STEP = {"step_size": 0.02, "localization": 30.0, "nbeta": 4.0}


def replica(theta, start, gradient, noise, square=None, smoothing=0.9, floor=0.1):
    """The written equations, in float64 numpy; without `square` the plain sampler."""
    scale = 1.0
    if square is not None:
        square = smoothing * square + (1 - smoothing) * gradient**2
        scale = 1 / (np.sqrt(square) + floor)
    drift = STEP["nbeta"] * gradient + STEP["localization"] * (theta - start)
    half = STEP["step_size"] / 2
    moved = theta - half * scale * drift + np.sqrt(STEP["step_size"] * scale) * noise
    return moved, square


@pytest.mark.parametrize("sampler", [sgld, rmsprop_sgld])
def test_steps_follow_the_written_equations(sampler):
    rng = np.random.default_rng(0)
    names = {"a": (3, 2), "b": (4,)}
    start = {name: rng.normal(size=shape) for name, shape in names.items()}
    theta = {name: value.copy() for name, value in start.items()}
    square = {name: np.zeros(shape) for name, shape in names.items()}
    options = STEP | ({"smoothing": 0.9, "floor": 0.1} if sampler is rmsprop_sgld else {})
    state = sampler.init({name: torch.from_numpy(value) for name, value in start.items()})
    for _ in range(5):
        gradients = {name: rng.normal(size=shape) for name, shape in names.items()}
        noise = {name: rng.normal(size=shape) for name, shape in names.items()}
        before = {name: tensor.clone() for name, tensor in state.parameters.items()}
        new = sampler.step(
            state,
            {name: torch.from_numpy(value) for name, value in gradients.items()},
            {name: torch.from_numpy(value) for name, value in noise.items()},
            **options,
        )
        for name in names:
            assert torch.equal(state.parameters[name], before[name])  # a step changes nothing
            theta[name], new_square = replica(
                theta[name],
                start[name],
                gradients[name],
                noise[name],
                square[name] if sampler is rmsprop_sgld else None,
            )
            square[name] = new_square
            np.testing.assert_allclose(new.parameters[name], theta[name], rtol=1e-10)
        state = new


@pytest.mark.parametrize("sampler", [sgld, rmsprop_sgld])
def test_a_parameter_without_a_gradient_stays_put(sampler):
    options = STEP | ({"smoothing": 0.9, "floor": 0.1} if sampler is rmsprop_sgld else {})
    state = sampler.init({"a": torch.ones(3), "b": torch.ones(3)})
    moved = sampler.step(state, {"b": torch.ones(3)}, {"b": torch.ones(3)}, **options)
    assert torch.equal(moved.parameters["a"], torch.ones(3))
    assert not torch.equal(moved.parameters["b"], torch.ones(3))


@pytest.mark.parametrize("sampler", [sgld, rmsprop_sgld])
def test_long_chains_have_the_moments_of_the_known_law(sampler, examples_of):
    """Stationary variance `1 / (gamma + nbeta h) / (1 - a / 2)`, a the contraction of one step."""
    gamma, nbeta, step_size, draws = 200.0, 4.0, 5e-4, 24000
    task, floor = QuadraticTask(), 1.0
    start, hessian = task.watched["theta"].double(), task.HESSIAN.double()
    options = {"step_size": step_size, "localization": gamma, "nbeta": nbeta}
    scale = torch.ones(3, dtype=torch.float64)
    if sampler is rmsprop_sgld:
        # No smoothing of the first kind: the running square stays zero, so G is 1 / floor.
        options |= {"smoothing": 1.0, "floor": floor / 2}
        scale = scale / (floor / 2)
    state = sampler.init({"theta": start})
    generator = torch.Generator().manual_seed(0)
    kept = torch.empty(draws, 3, dtype=torch.float64)
    for step in range(draws + 500):
        noise = {"theta": torch.randn(3, generator=generator, dtype=torch.float64)}
        gradient = {"theta": hessian * (state.parameters["theta"] - start)}
        state = sampler.step(state, gradient, noise, **options)
        if step >= 500:
            kept[step - 500] = state.parameters["theta"]
    contraction = step_size / 2 * scale * (gamma + nbeta * hessian)
    variance = 1 / (gamma + nbeta * hessian) / (1 - contraction / 2)
    linear = (2 - contraction) / contraction  # autocorrelation times
    square = (1 + (1 - contraction) ** 2) / (1 - (1 - contraction) ** 2)
    mean_error = ((kept.mean(0) - start) / (variance * linear / draws).sqrt()).abs()
    assert mean_error.max() < 4
    relative = kept.var(dim=0) / variance - 1
    assert (relative.abs() / (2 * square / draws).sqrt()).max() < 4
    assert (1 / (1 - contraction / 2)).max() > 1.2  # so that leaving the factor out would show


def test_chains_run_on_minibatch_gradients_of_the_task(examples_of):
    task = QuadraticTask()
    tracer = sgld.Sgld(
        draws=1500, burn_in=50, every=1, step_size=2e-3, localization=200.0, nbeta=4.0,
        minibatch=4, least=0,
    )  # fmt: skip
    examples = examples_of(np.zeros((COUNT, FEATURES), np.float32))
    source = tracer.fit(task, examples, answers_of(examples), seed=0, progress=silent)
    kept = torch.stack([draw["theta"] for draw in source.draws(0)])
    curvature = 200.0 + 4.0 * task.HESSIAN
    contraction = 1e-3 * curvature
    variance = 1 / curvature / (1 - contraction / 2)
    square = (1 + (1 - contraction) ** 2) / (1 - (1 - contraction) ** 2)
    relative = kept.var(dim=0) / variance - 1
    assert (relative.abs() / (2 * square / len(kept)).sqrt()).max() < 4


def test_published_sampler_replays_its_first_steps_by_hand(digits_world):
    """Own loop over a training-mode twin: same noise and minibatches, gradients by autograd."""
    task, trusted = digits_world.task, digits_world.trusted
    tracer = rmsprop_sgld.RmspropSgld(draws=4, burn_in=0, minibatch=200, least=0)
    answers = task.respond({}, trusted.values).answers
    source = tracer.fit(task, trusted, answers, seed=5, progress=silent)
    chain = source.draws
    assert isinstance(chain, Chain)
    twin = copy.deepcopy(digits_world.model).train()
    start = {name: p.detach().clone() for name, p in twin.named_parameters()}
    squares = {name: torch.zeros_like(p) for name, p in start.items()}
    sizes = []
    for step, (draw, indices) in enumerate(
        zip(source.draws(0), chain._minibatches(0), strict=False)
    ):
        sizes.append(len(indices))
        x = torch.from_numpy(trusted.values[indices]).permute(0, 3, 1, 2).float() / 255
        loss = nn.functional.cross_entropy(twin(x), torch.from_numpy(trusted.labels[indices]))
        twin.zero_grad()
        loss.backward()
        noise = chain._noise(0, step)
        with torch.no_grad():
            for name, p in twin.named_parameters():
                squares[name] = 0.99 * squares[name] + 0.01 * p.grad**2
                g = 1 / (squares[name].sqrt() + 0.1)
                p -= 1e-6 / 2 * g * (100 * p.grad + 1e4 * (p - start[name]))
                p += (1e-6 * g).sqrt() * noise[name]
        for name, p in twin.named_parameters():
            torch.testing.assert_close(draw[name], p.detach(), rtol=1e-4, atol=1e-6)
        # Running statistics drift as in training.
        for name, buffer in twin.named_buffers():
            torch.testing.assert_close(draw[name], buffer, rtol=1e-4, atol=1e-6)
    assert sizes == [200, 200, 100, 200]
    epoch = [next_ for next_, _ in zip(chain._minibatches(0), range(6), strict=False)]
    assert np.array_equal(np.sort(np.concatenate(epoch[:3])), np.arange(500))
    assert not np.array_equal(epoch[0], epoch[3])


def test_frozen_chains_leave_buffers_alone(digits_world):
    tracer = sgld.Sgld(draws=2, burn_in=1, every=1, minibatch=50, least=0)
    task, trusted = digits_world.task, digits_world.trusted
    answers = task.respond({}, trusted.values).answers
    source = tracer.fit(task, trusted, answers, seed=0, progress=silent)
    assert all(draw.keys() == task.watched.keys() for draw in source.draws(0))


def test_chains_thin_and_burn_in(points):
    options = {"step_size": 1e-3, "localization": 10.0, "nbeta": 1.0, "minibatch": 3, "least": 0}

    def draws(**extra):
        tracer = sgld.Sgld(**options, **extra)
        source = tracer.fit(LinearTask(), points, answers_of(points), seed=0, progress=silent)
        return [draw["theta"] for draw in source.draws(0)]

    every = draws(draws=12, burn_in=0, every=1)
    thinned = draws(draws=3, burn_in=3, every=3)
    assert all(torch.equal(one, two) for one, two in zip(thinned, every[5::3], strict=True))
    # As published: of all draws, the first after the first step, the first few are dropped.
    kept = draws(draws=9, burn_in=3, every=1)
    assert all(torch.equal(one, two) for one, two in zip(kept, every[3:], strict=True))


def test_chains_differ_and_are_centered_separately(points):
    options = {"step_size": 1e-3, "localization": 10.0, "nbeta": 1.0, "minibatch": 3, "least": 0}
    tracer = sgld.Sgld(draws=5, burn_in=0, every=1, chains=3, **options)
    source, traces = trace(tracer, LinearTask(), points)
    thetas = torch.stack(
        [torch.stack([draw["theta"] for draw in source.draws(chain)]) for chain in range(3)]
    )
    assert not torch.equal(thetas[0], thetas[1])
    chained = traces.values.unflatten(1, (3, 5))
    means = chained.mean(dim=2)
    torch.testing.assert_close(means, means[:, :1].expand(-1, 3), rtol=1e-5, atol=1e-6)
    raw = source.observe(points, answers_of(points), silent).unflatten(1, (3, 5))
    torch.testing.assert_close(
        chained - means[..., None], raw - raw.mean(dim=2, keepdim=True), rtol=0, atol=1e-6
    )
    assert source.evaluations == 15


def test_dropout_in_the_chain_is_seeded_and_global_randomness_untouched(examples_of):
    from anomech.tasks.image_classifier import ImageClassifier

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 12), nn.Dropout(0.5), nn.Linear(12, 3))
    rng = np.random.default_rng(0)
    examples = examples_of(
        rng.integers(0, 256, (20, 4, 4, 1), dtype=np.uint8), rng.integers(0, 3, 20)
    )
    task = ImageClassifier(net)
    answers = task.respond({}, examples.values).answers
    tracer = rmsprop_sgld.RmspropSgld(draws=4, burn_in=0, minibatch=8, least=0, nbeta=1e5)
    state = torch.get_rng_state()
    source = tracer.fit(task, examples, answers, seed=0, progress=silent)
    first = [draw["1.weight"] for draw in source.draws(0)]
    assert torch.equal(state, torch.get_rng_state())
    torch.rand(3)
    again = [draw["1.weight"] for draw in source.draws(0)]
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
