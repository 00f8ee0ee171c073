"""Per-example parameter gradients of one layer, from its input and its output's gradient.

For a layer with input `a` and output gradient `d` the weight's gradient is a sum of outer products
over positions, `sum_t d_t a_t'`. Projecting `d_t` and `a_t` first means that a whole batch of
per-example gradients costs one small product and is never formed at full size.
A rule sees the input on the way forward and keeps only its projection; what it returns turns the
output's gradient into `[batch, kept rows, kept columns]` for a matrix, `[batch, entries]` for a
vector, by the parameter's name within the layer.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.tracing._projection import Sides

Gradients = Callable[[Tensor], dict[str, Tensor]]
Rule = Callable[[nn.Module, Tensor, Sides], Gradients]


def linear(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.Linear`: inputs `[batch, ..., in]`, output gradient `[batch, ..., out]`."""
    a = _positions(inputs)
    if sides.columns is not None:
        a = a @ sides.columns

    def gradients(grad: Tensor) -> dict[str, Tensor]:
        d = _positions(grad)
        bias = d.sum(dim=1)
        if sides.rows is not None:
            d = d @ sides.rows
        return {"weight": torch.einsum("bto,bti->boi", d, a), "bias": bias}

    return gradients


def convolution(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.Conv1d` and `nn.Conv2d`, any stride, padding, dilation and groups.

    Projecting the patches by `columns` is a convolution with random filters.
    """
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    groups, kernel = module.groups, module.weight.shape[1:]
    columns = sides.columns
    if columns is None:
        columns = torch.eye(kernel.numel(), device=inputs.device)
    filters = columns.T.reshape(-1, *kernel).repeat(groups, *[1] * len(kernel))
    convolve = functional.conv2d if isinstance(module, nn.Conv2d) else functional.conv1d
    padding: str | tuple[int, ...] = module.padding
    if module.padding_mode != "zeros":
        reach = module._reversed_padding_repeated_twice
        inputs = functional.pad(inputs, reach, mode=module.padding_mode)
        padding = (0,) * len(module.stride)
    patches = convolve(inputs, filters, None, module.stride, padding, module.dilation, groups)
    a = patches.unflatten(1, (groups, -1)).flatten(3)

    def gradients(grad: Tensor) -> dict[str, Tensor]:
        d = grad.unflatten(1, (groups, -1)).flatten(3)
        bias = d.sum(dim=3).flatten(1)
        if sides.rows is not None:
            d = torch.einsum("bgol,ok->bgkl", d, sides.rows)
        return {"weight": torch.einsum("bgol,bgil->bgoi", d, a).flatten(1, 2), "bias": bias}

    return gradients


def embedding(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.Embedding`: inputs are indices `[batch, ...]`, output gradient `[batch, ..., width]`."""
    assert isinstance(module, nn.Embedding)
    tokens = inputs.flatten(1)
    rows = sides.rows
    if rows is None:
        rows = torch.eye(module.num_embeddings, device=inputs.device)
    a = rows[tokens]
    if module.padding_idx is not None:
        a = a * (tokens != module.padding_idx)[..., None]

    def gradients(grad: Tensor) -> dict[str, Tensor]:
        d = grad.flatten(1, -2)
        if sides.columns is not None:
            d = d @ sides.columns
        return {"weight": torch.einsum("btr,btc->brc", a, d)}

    return gradients


def batch_norm(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.BatchNorm*` in evaluation mode: channels are axis 1."""
    assert isinstance(module, _BatchNorm)
    assert module.running_mean is not None
    assert module.running_var is not None
    normalized = functional.batch_norm(
        inputs, module.running_mean.float(), module.running_var.float(), eps=module.eps
    )
    return _channels(normalized)


def group_norm(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.GroupNorm`: channels are axis 1."""
    assert isinstance(module, nn.GroupNorm)
    return _channels(functional.group_norm(inputs, module.num_groups, eps=module.eps))


def layer_norm(module: nn.Module, inputs: Tensor, sides: Sides) -> Gradients:
    """`nn.LayerNorm`: the last axes are normalized, those between are positions."""
    assert isinstance(module, nn.LayerNorm)
    normalized = functional.layer_norm(inputs, module.normalized_shape, eps=module.eps)

    def gradients(grad: Tensor) -> dict[str, Tensor]:
        shape = (len(grad), -1, torch.Size(module.normalized_shape).numel())
        weight = (normalized * grad).reshape(shape).sum(dim=1)
        return {"weight": weight, "bias": grad.reshape(shape).sum(dim=1)}

    return gradients


RULES: Mapping[type[nn.Module], Rule] = {
    nn.Linear: linear,
    nn.Conv1d: convolution,
    nn.Conv2d: convolution,
    nn.Embedding: embedding,
    nn.BatchNorm1d: batch_norm,
    nn.BatchNorm2d: batch_norm,
    nn.BatchNorm3d: batch_norm,
    nn.GroupNorm: group_norm,
    nn.LayerNorm: layer_norm,
}


def _positions(values: Tensor) -> Tensor:
    """`[batch, ..., width]` to `[batch, positions, width]`."""
    return values[:, None] if values.ndim == 2 else values.flatten(1, -2)


def _channels(normalized: Tensor) -> Gradients:
    def gradients(grad: Tensor) -> dict[str, Tensor]:
        d, product = grad[..., None], (normalized * grad)[..., None]
        return {"weight": product.flatten(2).sum(dim=2), "bias": d.flatten(2).sum(dim=2)}

    return gradients
