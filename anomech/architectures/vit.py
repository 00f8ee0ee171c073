"""A small vision transformer for small images, with no parameters that depend on their size.

Pre-norm blocks (Dosovitskiy et al. 2021) with the fixed sine and cosine positions and the mean over
patches of Beyer, Zhai and Kolesnikov 2022, "Better plain ViT baselines for ImageNet-1k". Without a
class token and learned positions, one network takes images of 8x8 as well as of 32x32. Parameters
are named after timm's.
Source: Dosovitskiy et al. 2021; Beyer, Zhai, Kolesnikov 2022.
Needs: images of any size; a smaller learning rate than convolutional networks.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from anomech.kernel.config import option, options
from anomech.kernel.errors import ConfigError


class Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, patches, width]` to the same."""
        split = self.qkv(x).unflatten(2, (3, self.heads, -1))
        query, key, value = split.permute(2, 0, 3, 1, 4).unbind()
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.proj(mixed.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Two layers on each patch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, patches, width]` to the same."""
        return self.fc2(functional.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention, then a network on each patch; both normalize first and add to their input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, patches, width]` to the same."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Squares of the image as vectors; images are filled up with black to whole squares."""

    def __init__(self, patch: int, width: int, channels: int) -> None:
        super().__init__()
        self.patch = patch
        self.proj = nn.Conv2d(channels, width, patch, patch)

    def forward(self, x: Tensor) -> Tensor:
        """`[batch, channels, height, width]` to `[batch, width, rows, columns]`."""
        below, right = -x.shape[2] % self.patch, -x.shape[3] % self.patch
        return self.proj(functional.pad(x, (0, right, 0, below)))


class VisionTransformer(nn.Module):
    """A plain vision transformer; `width` is a multiple of four and of `heads`."""

    def __init__(
        self,
        classes: int = 10,
        channels: int = 3,
        patch: int = 4,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
    ) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(patch, width, channels)
        self.blocks = nn.Sequential(*[Block(width, heads) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `[batch, classes]` of images `[batch, channels, height, width]`."""
        patches = self.patch_embed(x)
        patches = patches + positions(*patches.shape[1:], device=patches.device)
        tokens = self.blocks(patches.flatten(2).transpose(1, 2))
        return self.head(self.norm(tokens).mean(dim=1))


def positions(width: int, rows: int, columns: int, *, device: torch.device) -> Tensor:
    """Where each patch is, `[width, rows, columns]`.

    A quarter of the entries each are sine and cosine of the row and of the column, at wavelengths
    from 2 pi to 20,000 pi patches.
    """
    steps = torch.arange(width // 4, device=device) / max(1, width // 4 - 1)
    rates = torch.exp(-math.log(10_000) * steps)[:, None, None]
    down = (rates * torch.arange(rows, device=device)[:, None]).expand(-1, rows, columns)
    along = (rates * torch.arange(columns, device=device)).expand(-1, rows, columns)
    return torch.cat([down.sin(), down.cos(), along.sin(), along.cos()])


@options
class Vit:
    """Vision transformer; at its defaults 2.7 M parameters."""

    patch: int = option(4, "side of a patch", unit="pixels", ge=1)
    width: int = option(192, "numbers of each patch, a multiple of four and of `heads`", ge=4)
    depth: int = option(6, "blocks", ge=1)
    heads: int = option(3, "heads of each block's attention", ge=1)

    def __post_init__(self) -> None:
        if self.width % 4 or self.width % self.heads:
            raise ConfigError(
                f"vit.width must be a multiple of 4 and of its {self.heads} heads, which "
                f"{self.width} is not."
            )

    def build(self, *, classes: int, channels: int) -> nn.Module:
        """See `anomech.roles.architecture.Architecture`."""
        return VisionTransformer(classes, channels, self.patch, self.width, self.depth, self.heads)
