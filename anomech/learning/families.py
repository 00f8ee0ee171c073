"""The family of an architecture: what a null distribution of clean networks may be shared over.

How far a statistic of clean networks scatters depends most on what normalizes them, on whether they
convolve and on how large their inputs are, so networks are told apart by that and no finer.
"""

from collections.abc import Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.roles.task import Layers, Task, able


def family(task: Task, shape: Sequence[int]) -> str:
    """The family of a task's network, in words such as "convolutions, batch normalization, 1x8x8".

    Args:
        task: with layers.
        shape: of one input as points.
    """
    modules = list(able(task, Layers).layers()[""].modules())

    def has(*kinds: type[nn.Module]) -> bool:
        return any(isinstance(each, kinds) for each in modules)

    named = {type(each).__name__.lower() for each in modules}
    attends = has(nn.MultiheadAttention) or any("attention" in name for name in named)
    body = "attention" if attends else "convolutions" if has(nn.Conv2d) else "linear layers"
    normal = (
        "batch normalization"
        if has(_BatchNorm)
        else "group or layer normalization"
        if has(nn.GroupNorm, nn.LayerNorm)
        else "no normalization"
    )
    return f"{body}, {normal}, {'x'.join(map(str, shape))}"
