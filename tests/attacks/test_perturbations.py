"""Perturbations stay in their ball as 8-bit images, raise the loss and touch nothing else."""

import os

import numpy as np
import pytest
import torch
from torch import nn
from training import DigitsVictim, digits

from anomech.attacks.apgd import Apgd, ascend, checkpoints
from anomech.attacks.fgsm import Fgsm
from anomech.attacks.pgd import Pgd
from anomech.kernel import plugins
from anomech.kernel.errors import DataError, ModelError
from anomech.kernel.types import silent
from anomech.learning.ascent import Ball, ratio, ratio_of, rivalry
from anomech.learning.pixels import as_float
from anomech.learning.training import predict
from anomech.roles.attack import DataAttack, Perturbation
from anomech.tasks.image_classifier import ImageClassifier

EVERY = {name: plugins.get("attack", name) for name in plugins.names("attack")}
PERTURBATIONS = [name for name, cls in EVERY.items() if isinstance(cls(), Perturbation)]
FIXED = {"fgsm"}  # nothing about them is random
CHEAP = {"apgd": {"steps": 12}, "pgd": {"steps": 4}}
IMAGES, LABELS = (column[:60] for column in digits()[1])
L2 = 250.0  # gray levels; on digits about as far as 32 in every pixel
CLIMBERS = {
    "fgsm": Fgsm(eps=40),
    "fgsm l2": Fgsm(norm="l2", eps=L2),
    "pgd": Pgd(eps=40, step=5, steps=15),
    "pgd l2": Pgd(norm="l2", eps=L2, step=40, steps=15),
    "apgd": Apgd(eps=40, steps=15),
    "apgd l2": Apgd(norm="l2", eps=L2, steps=15),
    "apgd dlr": Apgd(eps=40, steps=15, loss="dlr"),
}


@pytest.fixture(scope="module")
def network():
    return DigitsVictim().surrogate()


class Changed(nn.Module):
    """A network whose logits are changed."""

    def __init__(self, network, change):
        super().__init__()
        self.network = network
        self.change = change

    def forward(self, images):
        return self.change(self.network(images))


def task_of(network):
    return ImageClassifier(network)


def run(attack, network, images=IMAGES, labels=LABELS, seed=0, progress=silent):
    return attack.perturb(task_of(network), images, labels, seed=seed, progress=progress)


@torch.no_grad()
def losses(network, images, labels=LABELS, loss=rivalry):
    return loss(task_of(network), images, torch.from_numpy(labels))(as_float(images))


def test_the_known_ones_are_found():
    assert {"apgd", "corruptions", "fgsm", "pgd"} <= set(PERTURBATIONS)
    assert not any(isinstance(EVERY[name](), DataAttack) for name in PERTURBATIONS)


@pytest.fixture
def attack(name):
    return EVERY[name](**CHEAP.get(name, {}))


@pytest.mark.parametrize("name", PERTURBATIONS)
class TestEveryPerturbation:
    def test_nothing_but_the_copy_is_changed(self, name, attack, network):
        images, labels = IMAGES.copy(), LABELS.copy()
        weights = {key: tensor.clone() for key, tensor in network.state_dict().items()}
        gradients = [None if p.grad is None else p.grad.clone() for p in network.parameters()]
        states = np.random.get_state()[1].copy(), torch.get_rng_state()
        with torch.no_grad():
            changed = run(attack, network, images, labels)
            assert not torch.is_grad_enabled()
        assert changed.dtype == np.uint8
        assert changed.shape == IMAGES.shape
        assert not np.array_equal(changed, IMAGES)
        assert np.array_equal(images, IMAGES)
        assert np.array_equal(labels, LABELS)
        assert all(torch.equal(network.state_dict()[key], weights[key]) for key in weights)
        for parameter, before in zip(network.parameters(), gradients, strict=True):
            assert parameter.requires_grad
            assert before is None or torch.equal(parameter.grad, before)
        assert np.array_equal(states[0], np.random.get_state()[1])
        assert torch.equal(states[1], torch.get_rng_state())

    def test_an_image_is_changed_alike_in_any_company(self, name, attack, network):
        whole = run(attack, network)
        order = np.random.default_rng(0).permutation(len(IMAGES))
        turned = run(attack, network, IMAGES[order], LABELS[order])
        alone = [run(attack, network, IMAGES[i : i + 1], LABELS[i : i + 1]) for i in range(8)]
        # A gradient near zero may be rounded to another sign in another batch.
        assert (turned != whole[order]).mean() < 0.01
        assert (np.concatenate(alone) != whole[:8]).mean() < 0.01

    def test_the_seed_decides(self, name, attack, network):
        first, second, other = (run(attack, network, seed=seed) for seed in (0, 0, 1))
        assert np.array_equal(first, second)
        assert np.array_equal(first, other) == (name in FIXED)

    def test_no_images_and_progress(self, name, attack, network):
        assert run(attack, network, IMAGES[:0], LABELS[:0]).shape == (0, 8, 8, 1)
        seen = []
        run(attack, network, progress=lambda *step: seen.append(step))
        assert seen[-1][1:] == (60, 60)


@pytest.mark.parametrize("name", CLIMBERS)
class TestClimbers:
    def test_the_rounded_image_is_in_the_ball(self, name, network):
        attack = CLIMBERS[name]
        change = run(attack, network).astype(np.int64) - IMAGES
        if attack.norm == "linf":
            assert np.abs(change).max() == attack.eps
        else:
            lengths = np.sqrt((change**2).sum(axis=(1, 2, 3)))
            assert (lengths <= attack.eps).all()
            assert np.median(lengths) > 0.9 * attack.eps

    def test_the_loss_rises_and_answers_change(self, name, network):
        changed = run(CLIMBERS[name], network)
        assert (predict(network, IMAGES) == LABELS).mean() > 0.9
        loss = ratio if name == "apgd dlr" else rivalry
        rose = losses(network, changed, loss=loss) > losses(network, IMAGES, loss=loss)
        # The ratio can be huge where three logits nearly agree, and an answer is wrong already.
        assert rose.float().mean() >= (0.95 if loss is ratio else 1)
        assert (predict(network, changed) == LABELS).mean() < 0.4


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("eps", [0.0, 0.9, 3.5, 8.0])
def test_fractions_of_a_gray_level_are_kept_too(norm, eps, network):
    for attack in (Fgsm(norm=norm, eps=eps), Pgd(norm=norm, eps=eps, steps=3, restarts=2)):
        change = run(attack, network).astype(np.int64) - IMAGES
        size = np.abs(change).max() if norm == "linf" else np.sqrt((change**2).sum((1, 2, 3))).max()
        assert size <= eps


def test_pixels_at_the_border_stay_pixels(network):
    black, white = np.zeros_like(IMAGES), np.full_like(IMAGES, 255)
    for attack in (Fgsm(eps=40), Pgd(eps=40, steps=3), Apgd(eps=40, steps=3)):
        assert run(attack, network, black).max() <= 40
        assert run(attack, network, white).min() >= 215


@pytest.mark.parametrize("attack", [Fgsm(eps=60, target=3), Pgd(eps=60, step=8, target=3)])
def test_a_target_is_approached(attack, network):
    others = LABELS != 3
    changed = run(attack, network, IMAGES[others], LABELS[others])
    towards = np.full(others.sum(), 3)
    gained = losses(network, IMAGES[others], towards) - losses(network, changed, towards)
    assert (gained > 0).float().mean() > 0.95
    if isinstance(attack, Pgd):
        assert (predict(network, changed) == 3).mean() > 0.6


def test_fgsm_is_one_signed_step(network):
    inputs = as_float(IMAGES).requires_grad_()
    loss = nn.functional.cross_entropy(network(inputs), torch.from_numpy(LABELS), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    signs = gradient.sign().permute(0, 2, 3, 1).numpy()
    expected = np.clip(IMAGES + 10 * signs, 0, 255)
    assert (run(Fgsm(eps=10), network) != expected).mean() < 0.01


def test_more_starts_are_never_worse(network):
    one, more = (
        losses(network, run(Pgd(eps=30, step=6, steps=5, restarts=n), network)) for n in (1, 4)
    )
    assert (more >= one - 1e-5).all()
    assert more.mean() > one.mean()


def test_apgd_climbs_at_least_as_far_as_pgd(network):
    ours = losses(network, run(Apgd(eps=30, steps=20), network))
    for step in (2.0, 4.0, 8.0):
        theirs = losses(network, run(Pgd(eps=30, step=step, steps=21), network))
        assert ours.mean() > theirs.mean()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_closes_in_on_a_peak_and_gives_the_best_it_saw(norm):
    """A hill with its top inside of the ball; steps of one size would leap over it for ever."""
    gray = torch.full((3, 1, 2, 2), 128.0)
    top = gray / 255 + torch.tensor([0.5, -2.0, 3.0]).view(3, 1, 1, 1) / 255
    seen = []

    def hill(inputs):
        height = -(((inputs - top) * 255) ** 2).flatten(1).sum(dim=1)
        seen.append(height.detach())
        return height

    ball = Ball(gray, norm, 10.0)
    start = ball.project(torch.full_like(gray, -9.0))
    change = ascend(hill, ball, start, 100)
    torch.testing.assert_close((top * 255 - gray).expand_as(change), change, atol=0.2, rtol=0)
    best = torch.stack(seen).max(dim=0).values
    hill((gray + change) / 255)
    torch.testing.assert_close(seen[-1], best)


def test_random_starts_fill_the_ball():
    gray = torch.full((400, 1, 2, 2), 128.0)
    images = np.random.default_rng(0).integers(0, 256, (400, 2, 2, 1), dtype=np.uint8)
    flat = Ball(gray, "linf", 8.0).start(images, 0, "test").flatten(1)
    assert flat.abs().max() < 8
    assert float(flat.std()) == pytest.approx(8 / 3**0.5, rel=0.05)
    lengths = Ball(gray, "l2", 8.0).start(images, 0, "test").flatten(1).norm(dim=1)
    assert lengths.max() <= 8
    assert float((lengths / 8).pow(4).mean()) == pytest.approx(0.5, abs=0.05)  # uniform by volume


def test_losses_are_what_they_say():
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0], [1.0, 4.0, 2.0, 0.0]])
    labels = torch.tensor([0, 2])
    torch.testing.assert_close(ratio_of(logits, labels), torch.tensor([(1 - 3) / 3, (4 - 2) / 3]))


def test_rivalry_orders_images_as_cross_entropy_does(network):
    logits = network(as_float(IMAGES)).detach()
    cross_entropy = nn.functional.cross_entropy(logits, torch.from_numpy(LABELS), reduction="none")
    ours = nn.functional.softplus(losses(network, IMAGES))
    torch.testing.assert_close(ours, cross_entropy, rtol=1e-3, atol=1e-5)


def test_confident_answers_are_attacked_all_the_same(network):
    sure = Changed(network, lambda logits: logits * 100)
    assert not np.array_equal(run(Fgsm(eps=40), sure), IMAGES)
    plain = run(Pgd(eps=40, step=5, steps=15), network)
    confident = run(Pgd(eps=40, step=5, steps=15), sure)
    assert losses(network, confident).mean() > 0.8 * losses(network, plain).mean() > 0


def test_checkpoints_are_those_of_the_paper():
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [1]


def test_bad_input_is_one_sentence(network):
    with pytest.raises(DataError, match="label 12 is none of the network's 10"):
        run(Pgd(), network, labels=LABELS + 12 - LABELS.max())
    with pytest.raises(DataError, match="label 30"):
        run(Fgsm(target=30), network)
    with pytest.raises(DataError, match="three classes"):
        run(Apgd(loss="dlr"), Changed(network, lambda logits: logits[:, :2]), labels=LABELS % 2)
    with pytest.raises(ModelError, match="NaN"):
        run(Fgsm(), Changed(network, lambda logits: logits * torch.nan))


@pytest.mark.skipif(
    not os.environ.get("ANOMECH_OPTIONAL"),
    reason="compares with torchattacks; pip install torchattacks and set ANOMECH_OPTIONAL=1",
)
@pytest.mark.parametrize(("norm", "eps"), [("linf", 24.0), ("l2", 150.0)])
@pytest.mark.parametrize(("name", "loss"), [("ce", rivalry), ("dlr", ratio)])
def test_apgd_ends_where_the_published_one_ends(norm, eps, name, loss, network):
    """From the same start; they differ in a tie and in the first comparison of each image."""
    published = pytest.importorskip("torchattacks").APGD(
        network, norm=norm.capitalize(), eps=eps / 255, steps=100, loss=name
    )
    gray, labels = as_float(IMAGES) * 255, torch.from_numpy(LABELS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = published.attack_single_run(gray / 255, labels)[0]
        torch.manual_seed(0)
        draw = 2 * torch.rand(gray.shape) - 1 if norm == "linf" else torch.randn(gray.shape)
    order = float("inf") if norm == "linf" else 2
    size = torch.linalg.vector_norm(draw.flatten(1), order, dim=1).view(-1, 1, 1, 1)
    ball = Ball(gray, norm, eps)
    hill = loss(task_of(network), IMAGES, labels)
    ours = (gray + ascend(hill, ball, ball.project(eps * draw / size), 100)) / 255
    with torch.no_grad():
        reached, wanted = hill(ours), hill(theirs)
    assert (reached - wanted).abs().lt(0.01).float().mean() > 0.9
    assert (reached < wanted - 0.01).float().mean() < 0.05
