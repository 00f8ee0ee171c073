"""Per-example parameter gradients of one layer, from its input and its output's gradient.

For a layer with input `a` and output gradient `d` the weight's gradient is a sum of outer products
over positions, `sum_t d_t a_t'`. Projecting `d_t` and `a_t` first means that a whole batch of
per-example gradients costs one small product and is never formed at full size.

A rule takes the module, its input, its output's gradient, the weight's sides and the names that
are wanted; it gives `[batch, kept rows, kept columns]` for a matrix and `[batch, entries]` for a
vector, by the parameter's name within the layer.
"""

from collections.abc import Callable, Mapping, Set

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.tracing._projection import Sides

CACHED = 2**20
"""Bytes of a layer's input whose products are made at once on a CPU, while they are cached."""

Gradients = dict[str, Tensor]
Rule = Callable[[nn.Module, Tensor, Tensor, Sides, Set[str]], Gradients]


def linear(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.Linear`: inputs `[batch, ..., in]`, output gradient `[batch, ..., out]`."""
    found = {}
    d = _positions(grad)
    if "bias" in wanted:
        found["bias"] = d.sum(dim=1)
    if "weight" in wanted:
        a = _positions(inputs)
        a = a if sides.columns is None else a @ sides.columns.to(a.dtype)
        d = d if sides.rows is None else d @ sides.rows.to(d.dtype)
        found["weight"] = _outer(d, a)
    return found


def convolution(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.Conv1d` and `nn.Conv2d`, any stride, padding, dilation and groups.

    Projecting the patches is a convolution with the projection's filters.
    """
    return scaled_convolution(module, inputs, grad, sides, wanted, None)


def scaled_convolution(
    module: nn.Module,
    inputs: Tensor,
    grad: Tensor,
    sides: Sides,
    wanted: Set[str],
    scale: Tensor | None,
) -> Gradients:
    """As `convolution`, for an output gradient that is `scale` `[channels]` times `grad`."""
    assert isinstance(module, (nn.Conv1d, nn.Conv2d))
    found, groups = {}, module.groups
    d = _positions_of_channels(grad, groups)
    if "bias" in wanted:
        bias = d.sum(dim=1, dtype=torch.float32).reshape(len(grad), -1)
        found["bias"] = bias if scale is None else bias * scale
    if "weight" in wanted:
        rows = sides.rows
        if rows is not None and groups == 1:
            # Rows first: fewer of them take part in the product over positions.
            d = d @ (rows if scale is None else rows * scale[:, None]).to(d.dtype)
            rows, scale = None, None
        weight = torch.cat(
            [
                _outer(
                    d[groups * some.start : groups * some.stop],
                    _positions_of_channels(_patches(module, inputs[some], sides), groups),
                )
                for some in _cached(inputs)
            ]
        )
        # Groups are rows of the weight: [batch * groups, ...] to [batch, groups * rows, ...].
        weight = weight.unflatten(0, (-1, groups)).flatten(1, 2)
        if sides.taps is not None and sides.columns is not None:
            weight = weight @ sides.columns
        if scale is not None:
            weight = weight * scale[:, None]
        found["weight"] = weight if rows is None else rows.T @ weight
    return found


def _patches(module: nn.Conv1d | nn.Conv2d, inputs: Tensor, sides: Sides) -> Tensor:
    """Projected patches `[batch, groups * kept, *positions]` in the place of the outputs."""
    kernel, groups = module.weight.shape[1:], module.groups
    if sides.taps is not None:
        filters, split = sides.taps.repeat(groups, *[1] * len(kernel)), module.in_channels
    else:
        columns = sides.columns
        if columns is None:
            columns = torch.eye(kernel.numel(), device=inputs.device)
        filters = columns.T.reshape(-1, *kernel).repeat(groups, *[1] * len(kernel))
        split = groups
    padding: str | tuple[int, ...] = module.padding
    if module.padding_mode != "zeros":
        reach = module._reversed_padding_repeated_twice
        inputs = functional.pad(inputs, reach, mode=module.padding_mode)
        padding = (0,) * len(module.stride)
    convolve = functional.conv2d if isinstance(module, nn.Conv2d) else functional.conv1d
    return convolve(
        inputs, filters.to(inputs.dtype), None, module.stride, padding, module.dilation, split
    )


def embedding(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.Embedding`: inputs are indices `[batch, ...]`, output gradient `[batch, ..., width]`."""
    assert isinstance(module, nn.Embedding)
    tokens, d = inputs.flatten(1), grad.flatten(1, -2)
    if sides.columns is not None:
        d = d @ sides.columns.to(d.dtype)
    if module.padding_idx is not None:
        d = d * (tokens != module.padding_idx)[..., None]
    if sides.rows is not None:
        return {"weight": _outer(sides.rows.to(d.dtype)[tokens], d)}
    found = torch.zeros(len(d), module.num_embeddings, d.shape[2], device=d.device)
    return {"weight": found.scatter_add_(1, tokens[..., None].expand_as(d), d.float())}


def batch_norm(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.BatchNorm*` in evaluation mode: channels are axis 1."""
    assert isinstance(module, _BatchNorm)
    assert module.running_mean is not None
    assert module.running_var is not None
    x, d = _positions_of_channels(inputs, 1), _positions_of_channels(grad, 1)
    found = {"bias": d.sum(dim=1, dtype=torch.float32)}
    if "weight" in wanted:
        products = [(x[some] * d[some]).sum(dim=1, dtype=torch.float32) for some in _cached(inputs)]
        centered = torch.cat(products) - module.running_mean * found["bias"]
        found["weight"] = centered / (module.running_var + module.eps).sqrt()
    return found


def group_norm(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.GroupNorm`: channels are axis 1."""
    assert isinstance(module, nn.GroupNorm)
    normalized = functional.group_norm(inputs, module.num_groups, eps=module.eps)
    d = _positions_of_channels(grad, 1)
    return {
        "weight": (_positions_of_channels(normalized, 1) * d).sum(dim=1),
        "bias": d.sum(dim=1),
    }


def layer_norm(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.LayerNorm`: the last axes are normalized, those between are positions."""
    assert isinstance(module, nn.LayerNorm)
    normalized = functional.layer_norm(inputs, module.normalized_shape, eps=module.eps)
    return _elementwise(normalized, grad, torch.Size(module.normalized_shape).numel())


def rms_norm(
    module: nn.Module, inputs: Tensor, grad: Tensor, sides: Sides, wanted: Set[str]
) -> Gradients:
    """`nn.RMSNorm`: as `layer_norm`, without centering."""
    assert isinstance(module, nn.RMSNorm)
    normalized = functional.rms_norm(inputs, module.normalized_shape, eps=module.eps)
    return _elementwise(normalized, grad, torch.Size(module.normalized_shape).numel())


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
    nn.RMSNorm: rms_norm,
}


def rule_of(module: nn.Module) -> Rule | None:
    """The rule of a module's kind, or None."""
    if isinstance(module, _BatchNorm) and module.running_mean is None:
        return None  # it mixes the examples of a batch
    return next((RULES[kind] for kind in type(module).__mro__ if kind in RULES), None)


def _positions(values: Tensor) -> Tensor:
    """`[batch, ..., width]` to `[batch, positions, width]`."""
    return values[:, None] if values.ndim == 2 else values.flatten(1, -2)


def _positions_of_channels(values: Tensor, groups: int) -> Tensor:
    """`[batch, groups * channels, *positions]` to `[batch * groups, positions, channels]`."""
    flat = values[..., None] if values.ndim == 2 else values.flatten(2)
    if groups == 1:
        return flat.transpose(1, 2)  # no copy where channels are last in memory
    return flat.unflatten(1, (groups, -1)).flatten(0, 1).transpose(1, 2)


def _cached(values: Tensor) -> list[slice]:
    """Runs of examples, small enough that what is made of them stays in the caches."""
    if values.device.type != "cpu":
        return [slice(0, len(values))]
    size = max(1, CACHED // max(1, values[:1].numel() * values.element_size()))
    return [slice(start, min(start + size, len(values))) for start in range(0, len(values), size)]


def _outer(left: Tensor, right: Tensor) -> Tensor:
    """`sum_t left_t right_t'` `[batch, rows, columns]`, accumulated in float32."""
    if left.dtype != right.dtype:
        left, right = left.float(), right.float()
    return torch.bmm(left.transpose(1, 2), right).float()


def _elementwise(normalized: Tensor, grad: Tensor, entries: int) -> Gradients:
    shape = (len(grad), -1, entries)
    return {
        "weight": (normalized * grad).reshape(shape).sum(dim=1),
        "bias": grad.reshape(shape).sum(dim=1),
    }
