"""Changes keep to their size, and climbing finds the one that leads furthest."""

from types import SimpleNamespace

import pytest
import torch

from anomech.kernel.randomness import torch_generator
from anomech.learning.changes import (
    Added,
    Changed,
    Climb,
    Seen,
    Warped,
    climbed,
    log_odds,
    odds_of_all,
)

PICTURES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_log_odds_of_every_class_hold_where_one_is_all_but_certain():
    logits = torch.tensor([[0.0, 1.0, 2.0], [400.0, 0.0, -5.0]], dtype=torch.float64)
    p = logits[0].softmax(0)
    torch.testing.assert_close(log_odds(logits)[0], (p / (1 - p)).log())
    assert log_odds(logits)[1, 0] == pytest.approx(400, abs=0.1)
    tied = log_odds(torch.zeros(1, 4, dtype=torch.float64))
    torch.testing.assert_close(tied, torch.full_like(tied, 1 / 3).log())


@pytest.mark.parametrize("size", [0.1, 0.5])
def test_an_addition_has_the_length_that_its_size_says(size):
    change = Added(scale=2.0)
    free = change.bound(100 * change.start(PICTURES, torch_generator(0, "test")))
    moved = change.apply(PICTURES, free, size) - PICTURES
    assert float(moved[0].norm()) == pytest.approx(size * 2.0, rel=1e-4)
    torch.testing.assert_close(moved[0], moved[3], atol=1e-6, rtol=1e-4)
    small = torch.full((1, 3, 8, 8), 1e-3)
    assert torch.equal(change.bound(small), small)


def test_a_warp_of_no_size_changes_nothing_and_its_nodes_stay_in_bounds():
    change = Warped(nodes=3)
    free = change.start(PICTURES, torch_generator(0, "test"))
    torch.testing.assert_close(change.apply(PICTURES, free, 0.0), PICTURES, atol=1e-5, rtol=0)
    assert change.apply(PICTURES, free, 0.3).sub(PICTURES).abs().max() > 0.05
    assert float(change.bound(free * 9).abs().max()) == 1


def test_a_warp_moves_a_picture_by_its_size():
    bar = torch.zeros(1, 1, 8, 8)
    bar[..., 3] = 1
    aside = torch.zeros(1, 2, 4, 4)
    aside[:, 0] = 1  # every point reads what lies to its right by the size, in halves of a side
    moved = Warped().apply(bar, aside, 2 / 8)
    torch.testing.assert_close(moved[0, 0, 4], bar[0, 0, 4].roll(-1), atol=1e-5, rtol=0)


class RightOrLeft:
    """A network that answers 1 where a picture's right half is brighter than its left, else 0."""

    def embed(self, batch):
        return batch

    def project(self, points):
        return points.clamp(0, 1)

    def respond_at(self, overlay, points, batch, answers=None):
        half = points.shape[-1] // 2
        right = 50 * (points[..., half:].mean((1, 2, 3)) - points[..., :half].mean((1, 2, 3)))
        logits = torch.stack([torch.zeros_like(right), right, torch.full_like(right, -30.0)], 1)
        odds = log_odds(logits)
        own = odds.argmax(1) if answers is None else answers
        picked = odds.gather(1, own[:, None])[:, 0]
        return SimpleNamespace(answers=own, log_odds=picked, logits=logits)


@pytest.mark.parametrize(("change", "size"), [(Added(3.0), 0.3), (Warped(), 0.2)])
def test_climbing_raises_the_answer_it_is_told_to(change, size):
    """A bar just left of the middle: adding light on the right, or bending it there, leads to 1."""
    space, bars = RightOrLeft(), torch.zeros(4, 1, 8, 8)
    bars[..., 3] = 0.5
    seen = Seen([bars], [bars], [torch.zeros(4, dtype=torch.int64)])
    start = change.start(bars, torch_generator(0, "test")) / 10
    before = Changed(change, start, size)
    after = climbed(space, seen, 1, before, Climb(steps=30))
    gain = odds_of_all(space, seen, after)[:, 1] - odds_of_all(space, seen, before)[:, 1]
    assert float(gain.min()) > 1
    assert torch.equal(before.free, start), "the start is not changed"


def test_inputs_of_the_answer_itself_do_not_count():
    space, bars = RightOrLeft(), torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    change = Added(3.0)
    start = Changed(change, change.start(bars, torch_generator(0, "test")) / 10, 0.3)
    all_of_it = Seen([bars], [bars], [torch.ones(4, dtype=torch.int64)])
    found = climbed(space, all_of_it, 1, start, Climb(steps=3))
    torch.testing.assert_close(found.free, start.free)
