"""Networks take images of any size, and a classifier finds their last layer."""

import numpy as np
import pytest
import torch
from torch import nn

from anomech.architectures._vgg import Vgg
from anomech.architectures.vgg11_bn import Vgg11Bn
from anomech.architectures.vit import VisionTransformer, positions
from anomech.kernel import plugins
from anomech.kernel.errors import ConfigError, ModelError
from anomech.tasks.image_classifier import ImageClassifier


def made(name, classes, channels, **options):
    network = plugins.make("architecture", {"use": name, **options}, name)
    return network.build(classes=classes, channels=channels)


SMALL = {
    "depthwise": (lambda channels: made("depthwise_batchnorm", 5, channels, width=4), "head"),
    "plain": (lambda channels: made("plain_cnn", 5, channels, width=4), "linear"),
    "vgg": (lambda channels: Vgg((8, "pool", 12, "pool", 12, "pool"), 5, channels), "classifier"),
    "vit": (lambda channels: VisionTransformer(5, channels, width=12, depth=2), "head"),
}
NARROW = {
    "depthwise_groupnorm": {"width": 8},
    "digits": {},
    "digits_batchnorm": {},
    "mlp": {"width": 4, "side": 16},
    "vit": {},
}
PARAMETERS = {
    "depthwise_groupnorm": 0.0376e6,
    "depthwise_batchnorm": 0.0376e6,
    "plain_cnn": 0.107e6,
    "convnext": 0.0885e6,
    "mlp": 0.428e6,
    "resnet14": 0.175e6,
    "resnet20": 0.272e6,
    "preactresnet18": 11.17e6,
    "vgg11_bn": 9.23e6,
    "vgg16_bn": 14.73e6,
    "vgg19_bn": 20.04e6,
    "vit": 2.68e6,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_known_networks_have_their_size(name):
    with torch.device("meta"):
        network = plugins.get("architecture", name)().build(classes=10, channels=3)
    assert sum(p.numel() for p in network.parameters()) == pytest.approx(PARAMETERS[name], rel=0.01)


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 1), (32, 3), (1, 1)])
def test_small_networks_take_images_of_any_size(name, size, channels):
    build, head = SMALL[name]
    network = build(channels).eval()
    images = np.random.default_rng(0).integers(0, 256, (3, size, size, channels), dtype=np.uint8)
    task = ImageClassifier(network, watch="last")
    response = task.respond({}, images)
    assert response.logits.shape == (3, 5)
    assert list(task.watched) == [f"{head}.weight", f"{head}.bias"]
    last = network.get_submodule(head)
    with torch.no_grad():
        torch.testing.assert_close(last(response.features), response.logits)


def test_vgg_has_torchvisions_names_and_pools_as_it_does():
    network = Vgg11Bn().build(classes=10, channels=3).eval()
    owners = [name.removesuffix(".weight") for name in network.state_dict() if "weight" in name]
    numbers = [0, 1, 4, 5, 8, 9, 11, 12, 15, 16, 18, 19, 22, 23, 25, 26]
    assert owners == [f"features.{number}" for number in numbers] + ["classifier"]
    assert network.features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1)
    assert network.features(torch.zeros(1, 3, 64, 96)).shape == (1, 512, 2, 3)


def test_every_pixel_and_every_place_counts_in_a_vision_transformer():
    torch.manual_seed(0)
    network = VisionTransformer(5, 1, width=12, depth=2).eval()
    images = torch.rand(1, 1, 7, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(images)[0, 0], images)
    assert (gradient != 0).all()
    with torch.no_grad():
        swapped = torch.cat([images[..., 4:, :], images[..., :4, :]], dim=2)
        assert not torch.allclose(network(swapped), network(images), atol=1e-6)


def test_positions_differ_everywhere():
    found = positions(12, 8, 9, device=torch.device("cpu"))
    assert found.shape == (12, 8, 9)
    distances = torch.cdist(found.flatten(1).T, found.flatten(1).T)
    assert distances.fill_diagonal_(9).min() > 0.1


def test_options_change_the_size_and_bad_ones_are_one_sentence():
    narrow = plugins.make("architecture", {"use": "resnet20", "width": 8}, "network")
    assert narrow.build(classes=10, channels=1).linear.in_features == 32
    assert plugins.label("architecture", narrow) == "resnet20 width=8"
    assert plugins.label("architecture", plugins.make("architecture", "vit", "network")) == "vit"
    with pytest.raises(ConfigError, match="network has no option 'widht': did you mean 'width'"):
        plugins.make("architecture", {"use": "vit", "widht": 8}, "network")
    with pytest.raises(ConfigError, match="multiple of 4 and of its 3 heads"):
        plugins.make("architecture", {"use": "vit", "width": 10}, "network")
    with pytest.raises(ConfigError, match="multiple of 8, which 12 is not"):
        plugins.make("architecture", {"use": "depthwise_groupnorm", "width": 12}, "network")


def test_a_perceptron_says_which_images_it_takes():
    network = made("mlp", 3, 1, side=8, width=4)
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 3)
    with pytest.raises(ModelError, match="images of 64 numbers, not of 81; set its option side"):
        network(torch.zeros(2, 1, 9, 9))


def test_a_bare_head_hides_from_those_who_look_for_layers():
    network = made("depthwise_groupnorm", 3, 1, width=8)
    assert not any(isinstance(module, nn.Linear) for module in network.modules())
    assert {"head.matrix", "head.offset"} <= dict(network.named_parameters()).keys()


@pytest.mark.parametrize("name", plugins.names("architecture"))
def test_every_architecture_gives_logits_of_its_classes(name):
    size = 8 if name == "digits" else 16
    options = NARROW.get(name, {"width": 4})
    network = plugins.make("architecture", {"use": name, **options}, name)
    built = network.build(classes=3, channels=1).eval()
    with torch.no_grad():
        assert built(torch.zeros(2, 1, size, size)).shape == (2, 3)
