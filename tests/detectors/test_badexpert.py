"""BaDExpert: the published triangle, and two copies: one that forgets, one that learns on."""

import torch

from anomech.detectors.badexpert import Badexpert, triangle
from anomech.kernel.types import silent
from anomech.observing.observed import observe


def test_the_triangle_is_the_published_one():
    expert = torch.linspace(-6, 6, 13, dtype=torch.float64)[:, None].expand(13, 13).flatten()
    shadow = torch.linspace(-5, 7, 13, dtype=torch.float64).repeat(13)
    b, s = expert.sigmoid(), shadow.sigmoid()
    published = torch.minimum(2 * s / b.clamp(min=1e-8), (1 - b) / (0.5 - s).clamp(min=1e-8))
    torch.testing.assert_close(triangle(expert, shadow), published.log())


def test_an_answer_of_the_expert_alone_is_most_suspicious_however_sure_both_are():
    planted, honest = triangle(torch.tensor([60.0, -9.0]), torch.tensor([-60.0, 9.0]))
    assert planted < honest
    assert bool(torch.isfinite(triangle(torch.tensor([700.0]), torch.tensor([-700.0]))).all())


def test_the_expert_forgets_and_the_shadow_does_not(digits_world):
    world = digits_world
    trusted = observe(world.task, world.trusted)
    right = torch.nonzero(world.task.agrees(trusted.answers, world.trusted.labels))[:, 0].numpy()
    anchors = trusted.take(right)
    fitted = Badexpert(epochs=1).fit(anchors, seed=0, progress=silent)
    expert, shadow = -fitted.twins(anchors.examples, anchors.answers, silent).values.T
    assert fitted.kept <= 0.2
    assert float((expert > 0).double().mean()) == fitted.kept
    assert float((shadow > 0).double().mean()) > 0.7
