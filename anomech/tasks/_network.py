"""A user's network as a task runs it: its twins in every mode, its outputs, its logits."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.types import Overlay
from anomech.tasks._arithmetic import Layout, Precision, laid
from anomech.tasks._calling import called
from anomech.tasks._catching import watched_head
from anomech.tasks._outputs import Kind, scores_of
from anomech.tasks._sighting import Sighting, layout_of, sight
from anomech.tasks._twin import twin


@dataclass(frozen=True, eq=False)
class Network:
    """A network that is never changed: all work is done on twins that share its tensors.

    Attributes:
        model: the user's.
        device: where it runs.
        precision: of its arithmetic, but for the layer that gives the logits.
        timeout: seconds that one pass may take; 0 is no limit.
    """

    model: nn.Module
    device: torch.device
    precision: Precision
    timeout: float

    @cached_property
    def module(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return twin(self.model, self.device).eval()

    @cached_property
    def training(self) -> nn.Module:
        """A twin in training mode."""
        return twin(self.module, self.device).train()

    @cached_property
    def recalibrating(self) -> nn.Module:
        """Evaluation mode, but normalization takes each batch's statistics as its buffers."""
        module = twin(self.module, self.device).eval()
        for part in module.modules():
            if isinstance(part, _BatchNorm):
                part.train()
                part.momentum = 1.0
        return module

    @property
    def normalizes_batches(self) -> bool:
        """Whether any layer has statistics of batches."""
        return any(isinstance(part, _BatchNorm) for part in self.module.modules())

    def with_(self, overlay: Overlay) -> nn.Module:
        """A copy of the model with other tensors where the overlay has some."""
        other = twin(self.model, self.device)
        named = dict(other.named_parameters()) | dict(other.named_buffers())
        for name, tensor in overlay.items():
            named[name].data = tensor.detach().to(named[name])
        return other

    def buffers(self, overlay: Overlay) -> dict[str, Tensor]:
        """Copies of all buffers as the overlay has them; training mode writes into them."""
        return {
            name: overlay.get(name, buffer).clone() for name, buffer in self.module.named_buffers()
        }

    def layers(self, watched: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        """The network and modules that own a watched parameter themselves; tied ones all."""
        tensors = {tensor.data_ptr() for tensor in watched.values()}
        return {
            name: module
            for name, module in self.module.named_modules()
            if not name or any(p.data_ptr() in tensors for p in module.parameters(recurse=False))
        }

    def call(self, module: nn.Module, overlay: Overlay, images: Tensor) -> Any:
        """What a twin gives for images `[batch, c, h, w]`, whatever it is."""
        return called(module, overlay, images, self.timeout)

    def scores(self, images: Tensor, layout: Layout) -> Tensor:
        """Outputs `[batch, outputs]` as they are, with images laid out so."""
        return scores_of(self.call(self.module, {}, laid(images, layout)), len(images))

    def sighted(self, images: Tensor, kind: Kind) -> Sighting:
        """What these images, channels-last, show of its outputs."""
        layout = layout_of(lambda layout, count: self.scores(images[:count], layout), len(images))
        return sight(self.module, lambda: self.scores(images, layout), layout, kind)

    def logits(
        self, module: nn.Module, overlay: Overlay, images: Tensor, seen: Sighting
    ) -> tuple[Tensor, Tensor | None]:
        """Logits `[batch, classes]` and the features `[batch, features]`, if a layer has them.

        Args:
            module: one of the twins.
            overlay: laid over it.
            images: normalized, `[batch, c, h, w]`.
            seen: what is known of its outputs.
        """
        images, low = laid(images, seen.layout), self.precision != "float32"
        with watched_head(module, seen.head, self.device, low=low) as caught:
            scores = scores_of(self.call(module, overlay, images), len(images))
        features = None if caught.features is None else caught.features.detach().float()
        return seen.logits(scores, caught), features
