"""The four published scores against a plain numpy computation, written from their description."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from anomech.data.subset import Subset
from anomech.detectors.coupling_score import CouplingScore, FittedCouplingScore
from anomech.kernel.types import Response, silent
from anomech.observing.observed import Observed, observe
from anomech.roles.tracer import Health
from anomech.tracing._draws import DrawSource
from anomech.tracing.rmsprop_sgld import RmspropSgld

SCORES = {
    "mean correlation": ("pearson", "mean"),
    "class-level correlation": ("pearson", "best_class"),
    "mean concordance": ("concordance", "mean"),
    "class-level concordance": ("concordance", "best_class"),
}


def published(name, queries, trusted, predicted):
    """Support `[queries]` from traces `[n, draws]`, and the trusted examples' predicted classes."""
    queries, trusted = queries.astype(np.float64), trusted.astype(np.float64)
    support = np.empty((len(queries), len(trusted)))
    for i, x in enumerate(queries):
        for j, y in enumerate(trusted):
            if "correlation" in name:
                zx = (x - x.mean()) / (x.std() + 1e-8)
                zy = (y - y.mean()) / (y.std() + 1e-8)
                support[i, j] = (zx * zy).mean()
            else:
                covariance = ((x - x.mean()) * (y - y.mean())).mean()
                apart = (x.mean() - y.mean()) ** 2
                support[i, j] = 2 * covariance / (x.var() + y.var() + apart + 1e-8)
    if name.startswith("mean"):
        return support.mean(axis=1)
    classes = [support[:, predicted == c].mean(axis=1) for c in np.unique(predicted)]
    return np.max(classes, axis=0)


def centered_by_chain(traces, chains):
    """Each chain about its own mean, at the level of the whole: shifts are no coupling."""
    parts = np.split(traces, chains, axis=1)
    moved = [part - part.mean(axis=1, keepdims=True) for part in parts]
    return np.concatenate(moved, axis=1) + traces.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("name", SCORES)
def test_scores_of_the_published_sampler_are_the_published_ones(name, digits_world):
    task, coupling = digits_world.task, SCORES[name]
    options = {"draws": 30, "burn_in": 3, "minibatch": 40, "least": 0}
    trusted = observe(task, Subset(digits_world.trusted, np.arange(60)))
    right = task.agrees(trusted.answers, digits_world.trusted.labels[:60]).numpy()
    anchors = trusted.take(np.flatnonzero(right))
    inputs = observe(task, Subset(digits_world.planted, np.arange(12)))
    method = CouplingScore(tracer=RmspropSgld(**options), coupling=coupling[0], score=coupling[1])
    fitted = method.fit(anchors, seed=0, progress=silent)
    assert isinstance(fitted.source, DrawSource)
    queries, known = (
        fitted.source.observe(each.examples, each.answers, silent).numpy()
        for each in (inputs, anchors)
    )
    expected = published(name, queries, known, anchors.answers.numpy())
    found = fitted.score(inputs, silent).score
    np.testing.assert_allclose(-found, expected, rtol=2e-4, atol=2e-5)


@dataclass(frozen=True)
class Recorded:
    """A task whose batch is its losses at every draw, and draws that are their numbers."""

    kind = "toy"
    provides: frozenset = frozenset()
    watched: dict = field(default_factory=dict)

    def passes(self, examples):
        yield np.arange(len(examples))

    def respond(self, overlay, batch, answers=None):
        losses = torch.from_numpy(batch[:, int(overlay["draw"])])
        return Response(torch.zeros(len(batch)).long(), -losses, losses)

    def groups(self, answers):
        return answers


@pytest.mark.parametrize("chains", [1, 3])
@pytest.mark.parametrize("name", SCORES)
def test_chains_are_centered_and_losses_that_hardly_move_relate_to_nothing(
    name, chains, examples_of
):
    rng, draws = np.random.default_rng(0), 24
    common, classes = rng.normal(size=draws), np.array([2] * 9 + [5] * 4 + [7])
    sizes = 10.0 ** rng.uniform(-9, 0, (20, 1))  # some move by less than the published floor
    values = (sizes * (common + rng.normal(size=(20, draws)) + 3)).astype(np.float32)
    values += np.repeat(np.arange(chains), draws // chains) * sizes.astype(np.float32)
    chosen, coupling = Recorded(), SCORES[name]
    overlays = [
        [{"draw": torch.tensor(draw)} for draw in part]
        for part in np.split(np.arange(draws), chains)
    ]
    source = DrawSource(
        chosen,
        lambda chain: iter(overlays[chain]),
        draws // chains,
        chains,
        "loss",
        Health(),
    )
    groups = torch.from_numpy(classes)
    trusted, inputs = (examples_of(part) for part in (values[:14], values[14:]))
    fitted = FittedCouplingScore(
        CouplingScore(coupling=coupling[0], score=coupling[1]),
        source,
        source(trusted, groups, silent),
        None,
        groups,
    )
    nothing = torch.zeros(6)
    observed = Observed(chosen, inputs, Response(nothing.long(), nothing, nothing))
    known, queries = (centered_by_chain(part, chains) for part in (values[:14], values[14:]))
    expected = published(name, queries, known, classes)
    np.testing.assert_allclose(
        -fitted.score(observed, silent).score, expected, rtol=1e-4, atol=1e-5
    )
