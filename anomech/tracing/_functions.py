"""Layers run so that going backward costs no more than the gradient of activations needs.

The framework's own backward passes do more than that: batch normalization sums over the batch, and
a convolution before it reads and writes an activation once more for the scale between them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

Convolution = nn.Conv1d | nn.Conv2d


def is_plain(module: nn.Module) -> bool:
    """Whether a module is a convolution or a fixed normalization and nothing of its own beside it.

    Only then may its call be replaced by one of the functions here.
    """
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return False
    if isinstance(module, _BatchNorm):
        fixed = not module.training and module.running_mean is not None
        return fixed and type(module).forward is _BatchNorm.forward
    if isinstance(module, (nn.Conv1d, nn.Conv2d)):
        plain = type(module) in (nn.Conv1d, nn.Conv2d) and module.padding_mode == "zeros"
        return plain and not isinstance(module.padding, str)
    return False


class FrozenNorm(torch.autograd.Function):
    """Batch normalization with fixed statistics: an affine map of each channel."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """`scale * inputs + shift`, with channels in axis 1."""
        ctx.save_for_backward(scale)
        return _affine(inputs, scale, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        """`scale * grad`."""
        (scale,) = ctx.saved_tensors
        return grad * _along_channels(scale, grad), None, None


class NormedConvolution(torch.autograd.Function):
    """A convolution whose output only a fixed normalization takes, differentiated as one."""

    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any,
        inputs: Tensor,
        convolved: Tensor,
        scale: Tensor,
        shift: Tensor,
        module: Convolution,
    ) -> Tensor:
        """`scale * convolved + shift`, where `convolved` is the module's output at `inputs`."""
        ctx.save_for_backward(inputs, scale, module.weight)
        ctx.module = module
        return _affine(convolved, scale, shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """The gradient of the convolution's inputs; the scale acts on the small weight instead."""
        inputs, scale, weight = ctx.saved_tensors
        scaled = weight * scale.view(-1, *[1] * (weight.ndim - 1))
        return _transposed(grad, inputs, scaled, ctx.module), None, None, None, None


def affine(module: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Scale and shift `[channels]` of a fixed normalization."""
    assert module.running_mean is not None
    assert module.running_var is not None
    scale = (module.running_var.float() + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * module.weight.detach()
    shift = -module.running_mean.float() * scale
    if module.bias is not None:
        shift = shift + module.bias.detach()
    return scale, shift


def _affine(inputs: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    if inputs.dtype is not torch.float32:
        # Written as a normalization, for which there is a fast kernel in low precision.
        zeros = torch.zeros_like(scale)
        return functional.batch_norm(inputs, zeros, zeros + 1, scale, shift, eps=0.0)
    return torch.addcmul(_along_channels(shift, inputs), inputs, _along_channels(scale, inputs))


def _along_channels(values: Tensor, like: Tensor) -> Tensor:
    return values.to(like.dtype).view(1, -1, *[1] * (like.ndim - 2))


def _transposed(grad: Tensor, inputs: Tensor, weight: Tensor, module: Convolution) -> Tensor:
    found: Tensor = torch.ops.aten.convolution_backward(
        grad,
        inputs,
        weight.to(grad.dtype),
        None,
        list(module.stride),
        list(module.padding),
        list(module.dilation),
        False,
        [0],
        module.groups,
        [True, False, False],
    )[0]
    return found
