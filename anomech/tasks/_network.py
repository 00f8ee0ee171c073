"""A user's network in the ways a task runs it: twins, and calls that catch what the head sees."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from anomech.kernel.types import Overlay
from anomech.tasks._arithmetic import Layout, Precision, laid
from anomech.tasks._calling import called
from anomech.tasks._catching import watched_head
from anomech.tasks._outputs import Kind, beside, scores_of
from anomech.tasks._sighting import Sighting, layout_of, sight
from anomech.tasks._twin import twin


@dataclass(frozen=True)
class Network:
    """How a network is run; the one given is never changed.

    Attributes:
        model: as the user gave it.
        device: where it runs.
        precision: of its arithmetic.
        seconds: that a forward pass may take; 0 is no limit.
    """

    model: nn.Module
    device: torch.device
    precision: Precision
    seconds: float

    @cached_property
    def evaluating(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        return twin(self.model, self.device).eval()

    @cached_property
    def training(self) -> nn.Module:
        """The twin in training mode."""
        return twin(self.evaluating, self.device).train()

    @cached_property
    def recalibrating(self) -> nn.Module:
        """Evaluation mode, but normalization takes each batch's statistics as its buffers."""
        network = twin(self.evaluating, self.device).eval()
        for module in network.modules():
            if isinstance(module, _BatchNorm):
                module.train()
                module.momentum = 1.0
        return network

    @cached_property
    def _tied(self) -> bool:
        """Whether some tensors have several names; twins are alike."""
        own = self.evaluating
        named = chain(
            own.named_parameters(remove_duplicate=False), own.named_buffers(remove_duplicate=False)
        )
        tensors = [id(tensor) for _, tensor in named]
        return len(set(tensors)) < len(tensors)

    @cached_property
    def _buffers(self) -> dict[str, Tensor]:
        return dict(self.evaluating.named_buffers())

    def buffers(self, overlay: Overlay) -> dict[str, Tensor]:
        """Copies of all buffers as the overlay has them; training mode writes into them."""
        return {name: overlay.get(name, buffer).clone() for name, buffer in self._buffers.items()}

    def call(self, network: nn.Module, overlay: Overlay, images: Tensor) -> Any:
        """What one of the twins gives for normalized images `[batch, c, h, w]`.

        Raises:
            ModelError: it raised something, or took too long.
        """
        return called(network, overlay, images, self.seconds, tied=self._tied)

    def scores(self, images: Tensor, layout: Layout) -> Tensor:
        """Outputs `[batch, outputs]` as they are, in full precision."""
        return scores_of(self.call(self.evaluating, {}, laid(images, layout)), len(images))

    @torch.no_grad()
    def sighted(self, images: Tensor, kind: Kind) -> Sighting:
        """What a few channels-last images show, if outputs are of this kind."""
        images = images.detach()
        layout = layout_of(lambda layout, count: self.scores(images[:count], layout), len(images))
        seen = sight(self.evaluating, lambda: self.scores(images, layout), layout, kind)
        return replace(seen, beside=beside(self.call(self.evaluating, {}, laid(images, layout))))

    def logits(
        self, network: nn.Module, seen: Sighting, overlay: Overlay, images: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Logits `[batch, classes]` of a twin, and the features `[batch, features]` if it has any.

        Args:
            network: one of the twins.
            seen: what is known of them.
            overlay: laid over it.
            images: normalized, `[batch, c, h, w]`.
        """
        low = self.precision != "float32"
        with watched_head(network, seen.head, self.device, low=low) as caught:
            output = self.call(network, overlay, laid(images, seen.layout))
        features = None if caught.features is None else caught.features.float()
        return seen.logits(scores_of(output, len(images)), caught), features
