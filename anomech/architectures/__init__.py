"""Plain-torch network definitions whose parameter names match public checkpoints."""

from collections.abc import Callable

from torch import nn

from anomech.architectures.digits import DigitsNet
from anomech.architectures.preact_resnet import preact_resnet18
from anomech.architectures.resnet import resnet14, resnet20
from anomech.architectures.vgg import vgg11_bn, vgg16_bn, vgg19_bn
from anomech.architectures.vit import vit
from anomech.kernel.config import nearest
from anomech.kernel.errors import ConfigError

KNOWN: dict[str, Callable[..., nn.Module]] = {
    "digits": DigitsNet,
    "preactresnet18": preact_resnet18,
    "resnet14": resnet14,
    "resnet20": resnet20,
    "vgg11_bn": vgg11_bn,
    "vgg16_bn": vgg16_bn,
    "vgg19_bn": vgg19_bn,
    "vit": vit,
}


def get(name: str) -> Callable[..., nn.Module]:
    """A function of `classes` and `channels` that builds the network of this name."""
    if name not in KNOWN:
        raise ConfigError(f"no network is named '{name}': {nearest(name, list(KNOWN))}")
    return KNOWN[name]
