"""Usual normalizations of images: what is subtracted from pixels in [0, 1] and divided by.

Most networks of others were trained with one of these.
"""

from collections.abc import Sequence

Normalization = tuple[tuple[float, ...], tuple[float, ...]]

USUAL: tuple[Normalization, ...] = (
    ((0.0,), (1.0,)),  # as it is read
    ((0.0,), (1 / 255,)),  # 0 to 255
    ((0.5,), (0.5,)),  # -1 to 1
    ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet
    ((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),  # CIFAR-10
    ((0.1307,), (0.3081,)),  # MNIST
)


def settings(mean: Sequence[float], std: Sequence[float]) -> str:
    """The options of a command that ask for it."""
    words = (",".join(f"{value:.6g}" for value in values) for values in (mean, std))
    return "--set task.mean={} --set task.std={}".format(*words)
