"""A decoder and its tokenizer, ready to be run: the twin, its parts by name, and where it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor, nn

from anomech.kernel.errors import ModelError
from anomech.tasks._language_blocks import Block, Point, blocks_of, points_of
from anomech.tasks._language_calls import Decoder
from anomech.tasks._language_wording import Wording, context_of, ends_of
from anomech.tasks._twin import twin

Precision = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, eq=False)
class Parts:
    """What a task of a decoder is made of; the model given is never changed.

    Attributes:
        model: as the user gave it.
        tokenizer: of it.
        template: how prompts are put.
        tokens: of an answer, at the most.
        where: device to run on; empty means where the model is.
        precision: of the arithmetic.
    """

    model: nn.Module
    tokenizer: Any
    template: str
    tokens: int
    where: str
    precision: Precision

    @cached_property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        spread = len({str(each.device) for each in self.model.parameters()}) > 1
        return twin(self.model, None if spread else self.device, self._dtype).eval()

    @cached_property
    def decoder(self) -> Decoder:
        """How it is called."""
        return Decoder(self.network)

    @cached_property
    def wording(self) -> Wording:
        """How conversations become its tokens.

        Raises:
            ModelError: answers take all the room that it has.
        """
        room = context_of(self.model) - self.tokens
        if room < 1:
            raise ModelError(
                f"the model reads {room + self.tokens} tokens, which leaves no room for prompts "
                f"beside answers of {self.tokens}; lower task.tokens."
            )
        ends = ends_of(self.model, self.tokenizer)
        return Wording(self.tokenizer, self.template, room, self.tokens, ends)

    @cached_property
    def blocks(self) -> list[Block]:
        """Its blocks in order."""
        return blocks_of(self.network)

    @cached_property
    def head(self) -> str:
        """Name of the layer that gives the logits."""
        return self._name(self.network.get_output_embeddings())  # type: ignore[operator]

    @cached_property
    def points(self) -> Mapping[str, Point]:
        """Places where activations pass."""
        embedding = self._name(self.network.get_input_embeddings())  # type: ignore[operator]
        return points_of(self.network, self.blocks, embedding, self.head)

    @property
    def table(self) -> Tensor:
        """Embeddings of all tokens `[tokens, features]`."""
        return self.network.get_input_embeddings().weight  # type: ignore[operator,no-any-return]

    @property
    def config(self) -> Any:
        """Of the model."""
        return getattr(self.model, "config", None)

    @cached_property
    def device(self) -> torch.device:
        """Where sequences go."""
        if self.where:
            return torch.device(self.where)
        return next((p.device for p in self.model.parameters()), torch.device("cpu"))

    @property
    def _dtype(self) -> torch.dtype | None:
        """Of the twin's numbers; None leaves them as they are."""
        if self.precision != "auto":
            return getattr(torch, self.precision)  # type: ignore[no-any-return]
        return torch.float32 if self.device.type == "cpu" else None

    def _name(self, module: nn.Module) -> str:
        return next(name for name, each in self.network.named_modules() if each is module)
