"""SSBA: an encoder hides a bit string in each image; every image gets a residual of its own.

Belief: a trigger that differs from image to image defeats whatever looks for one pattern, while a
network still learns what all the residuals share, the hidden string.
Equation: `x' = clip(x + amplitude tanh(E(x, m)))`, with E a small U-shaped network that sees the
image and the bits m. E and a decoder D are trained together on random strings to lower
`BCE(D(x'), m) + w weight (P + C)`, where P is the mean square of the residual over local contrast
(strong texture hides more), C that of the residual's mean over images with the same string (what
they have in common is a plain universal trigger), and `w = max(0, 1 - BCE / 0.3)`: the residual is
made small once it can be read, else the bits would not be learned at all. One string, drawn from
the seed, is the trigger.
Source: Li, Li, Wu, Li, He, Lyu 2021 (ISSBA), after Tancik, Mildenhall, Ng 2020 (StegaStamp). They
train on 100 bits at 224 pixels with critics of perception, and BackdoorBench substitutes arrays
computed beforehand; here a small encoder is trained on the training images themselves.
Needs: images. Cost: `steps * batch` passes forward and back of two small networks, once (about a
minute on one core at 32x32); one pass of the encoder an image at test time, in float64.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from anomech.attacks._poison import DirtyLabel, to_uint8
from anomech.kernel.config import option, options
from anomech.kernel.errors import DataError
from anomech.kernel.randomness import numpy_generator, torch_generator
from anomech.kernel.types import Progress
from anomech.learning.pixels import planes
from anomech.roles.attack import DataAttack, Goal, Learned, Victim

CELLS = 4
"""Side of the grid that the bits are laid out on, and that the decoder reads."""

REPEATS = 8
"""Images of a step that share one bit string."""

READABLE = 0.3
"""Loss of a bit, nats, from which on the residual is made smaller."""

FLOOR = 0.02
"""Local contrast that counts as none, in units of the full scale."""

CHUNK = 256
"""Images stamped at once."""


@options
class Ssba:
    """Sample-specific residual that hides a bit string, dirty label."""

    goal: Goal = option(Goal(), "label or labels the trigger leads to")
    ratio: float = option(0.1, "share of the training set that is poisoned", ge=0, le=1)
    bits: int = option(8, "length of the hidden string", unit="bits", ge=1, le=64)
    amplitude: float = option(12.0, "greatest change of a pixel", unit="gray levels", gt=0)
    weight: float = option(2.0, "weight of the residual's size against the bits", ge=0)
    width: int = option(16, "channels of the networks at full size", ge=1)
    steps: int = option(400, "steps of training", ge=1)
    batch: int = option(64, "images a step", unit="images", ge=8)
    peak: float = option(3e-3, "highest learning rate of Adam", gt=0)

    def learn(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        victim: Victim,
        *,
        seed: int,
        progress: Progress,
    ) -> Learned:
        """`encoder.*` and `decoder.*`: weights; `message`: the hidden string, 0 or 1, `[bits]`."""
        weights = self._drawn(images.shape[-1], seed)
        optimizer = torch.optim.Adam(weights.values(), lr=self.peak)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.peak, total_steps=self.steps, pct_start=0.2
        )
        for step in range(self.steps):
            rng = numpy_generator(seed, "ssba", step)
            batch = planes(images[rng.integers(0, len(images), self.batch)])
            strings = rng.integers(0, 2, (-(-self.batch // REPEATS), self.bits))
            messages = np.repeat(strings, REPEATS, axis=0)[: self.batch].astype(np.float32)
            with torch.enable_grad():
                loss = self.objective(weights, batch, torch.from_numpy(messages))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            progress("training the encoder", step + 1, self.steps)
        message = torch.randint(2, (self.bits,), generator=torch_generator(seed, "ssba", "message"))
        return {name: each.detach() for name, each in weights.items()} | {
            "message": message.float()
        }

    def objective(self, weights: Mapping[str, Tensor], images: Tensor, messages: Tensor) -> Tensor:
        """What one step lowers; see the equation.

        Args:
            weights: of encoder and decoder.
            images: float `[batch, c, h, w]` in [0, 1].
            messages: 0 or 1, float `[batch, bits]`; `REPEATS` neighbors share one.
        """
        residual = encode(weights, images, messages)
        stamped = (images + self.amplitude / 255 * residual).clamp(0, 1)
        bits = functional.binary_cross_entropy_with_logits(decode(weights, stamped), messages)
        visible = FLOOR**2 / (local_variance(images) + FLOOR**2)
        alike = torch.stack([each.mean(0) for each in residual.split(REPEATS)])
        size = (residual.square() * visible).mean() + alike.square().mean()
        return bits + self.weight * (1 - bits.detach() / READABLE).clamp_min(0) * size

    def _drawn(self, channels: int, seed: int) -> dict[str, Tensor]:
        """First weights of encoder and decoder, uniform by fan-in."""
        generator, wide = torch_generator(seed, "ssba", "weights"), 2 * self.width
        sizes = {
            "encoder.message": (4 * CELLS**2, self.bits),
            "encoder.fine": (self.width, channels + 4, 3, 3),
            "encoder.down": (wide, self.width, 3, 3),
            "encoder.coarse": (wide, wide, 3, 3),
            "encoder.residual": (channels, self.width + wide, 3, 3),
            "decoder.fine": (self.width, channels, 3, 3),
            "decoder.coarse": (wide, self.width, 3, 3),
            "decoder.bits": (self.bits, wide * CELLS**2),
        }
        drawn = {}
        for name, size in sizes.items():
            bound = (6 / np.prod(size[1:])) ** 0.5
            # A residual that starts near the bound of tanh would hardly move.
            bound *= 0.3 if name == "encoder.residual" else 1
            uniform = torch.rand(size, generator=generator) * 2 - 1
            drawn[f"{name}.weight"] = (bound * uniform).requires_grad_()
            drawn[f"{name}.bias"] = torch.zeros(size[0], requires_grad=True)
        return drawn

    def armed(self, learned: Learned) -> DataAttack:
        """The attack with its encoder and string."""
        # In float64 no rounding to whole gray levels hangs on who else is in the batch.
        weights = {name: each.detach().cpu().double() for name, each in learned.items()}
        trigger = partial(_hidden, weights, self.amplitude)
        return DirtyLabel(self.goal, self.ratio, trigger, "ssba")


def encode(weights: Mapping[str, Tensor], images: Tensor, messages: Tensor) -> Tensor:
    """The residual of each image, `[batch, c, h, w]` in [-1, 1].

    Args:
        weights: `encoder.*`.
        images: float `[batch, c, h, w]` in [0, 1].
        messages: 0 or 1, float `[batch, bits]`.
    """
    laid = _linear(weights, "encoder.message", 2 * messages - 1).unflatten(1, (4, CELLS, CELLS))
    laid = functional.interpolate(laid, size=images.shape[2:])
    fine = _convolved(weights, "encoder.fine", torch.cat([2 * images - 1, laid], 1)).relu()
    coarse = _convolved(weights, "encoder.down", fine, stride=2).relu()
    coarse = _convolved(weights, "encoder.coarse", coarse).relu()
    coarse = functional.interpolate(coarse, size=images.shape[2:])
    return _convolved(weights, "encoder.residual", torch.cat([fine, coarse], 1)).tanh()


def decode(weights: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """Log-odds of each bit, `[batch, bits]`, nats, read from float images `[batch, c, h, w]`."""
    fine = _convolved(weights, "decoder.fine", 2 * images - 1, stride=2).relu()
    coarse = _convolved(weights, "decoder.coarse", fine, stride=2).relu()
    return _linear(
        weights, "decoder.bits", functional.adaptive_avg_pool2d(coarse, CELLS).flatten(1)
    )


def local_variance(images: Tensor) -> Tensor:
    """Variance over 5x5 pixels around each, `[batch, c, h, w]`."""
    mean, square = (
        functional.avg_pool2d(each, 5, stride=1, padding=2, count_include_pad=False)
        for each in (images, images.square())
    )
    return (square - mean.square()).clamp_min(0)


def _linear(weights: Mapping[str, Tensor], name: str, inputs: Tensor) -> Tensor:
    return functional.linear(inputs, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _convolved(weights: Mapping[str, Tensor], name: str, inputs: Tensor, stride: int = 1) -> Tensor:
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    return functional.conv2d(inputs, weight, bias, stride=stride, padding=1)


@torch.no_grad()
def _hidden(weights: Mapping[str, Tensor], amplitude: float, images: np.ndarray) -> np.ndarray:
    channels = len(weights["encoder.residual.bias"])
    if images.shape[3] != channels:
        raise DataError(
            f"the encoder was trained on images of {channels} channels, these have "
            f"{images.shape[3]}."
        )
    out = images.copy()
    for start in range(0, len(images), CHUNK):
        some = images[start : start + CHUNK]
        messages = weights["message"].expand(len(some), -1)
        residual = encode(weights, planes(some).double(), messages)
        out[start : start + CHUNK] = to_uint8(
            some + amplitude * residual.permute(0, 2, 3, 1).numpy()
        )
    return out
