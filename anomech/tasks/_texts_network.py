"""A sequence classifier of the transformers library as it is called: padded texts, its head."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from anomech.data.texts import Text
from anomech.kernel.errors import ModelError, answered
from anomech.kernel.types import Overlay
from anomech.tasks._language_wording import context_of
from anomech.tasks._outputs import scores_of
from anomech.tasks._twin import twin


@dataclass(frozen=True, eq=False)
class Reader:
    """A classifier with its tokenizer; the model given is never changed.

    Attributes:
        model: as the user gave it.
        tokenizer: of it.
        device: where it runs.
    """

    model: nn.Module
    tokenizer: Any
    device: torch.device

    @cached_property
    def network(self) -> nn.Module:
        """The twin in evaluation mode, without gradients of its own."""
        network = twin(self.model, self.device).eval()
        config = getattr(network, "config", None)
        if config is not None and getattr(config, "pad_token_id", None) is None:
            config.pad_token_id = (
                self.padding
            )  # the twin's own; decoders find their last token by it
        return network

    @cached_property
    def takes(self) -> Mapping[str, Any]:
        """Arguments of its forward."""
        return inspect.signature(self.network.forward).parameters

    @cached_property
    def padding(self) -> int:
        """The token that fills up shorter texts."""
        for name in ("pad_token_id", "eos_token_id"):
            if isinstance(found := getattr(self.tokenizer, name, None), int):
                return found
        return 0

    @cached_property
    def head(self) -> str:
        """Name of the linear layer that gives the logits; empty if none is known to."""
        wanted = int(getattr(self.model.config, "num_labels", 0))  # type: ignore[union-attr,arg-type]
        linear = [
            name
            for name, module in self.network.named_modules()
            if isinstance(module, nn.Linear) and module.out_features == wanted
        ]
        return linear[-1] if linear else ""

    @cached_property
    def room(self) -> int:
        """Tokens that a text may have."""
        longest = getattr(self.tokenizer, "model_max_length", None)
        known = context_of(self.model)
        # RoBERTa's positions begin after that of its padding.
        if getattr(getattr(self.model, "config", None), "model_type", "").endswith("roberta"):
            known -= 2
        return min(known, longest) if isinstance(longest, int) and longest > 0 else known

    def read(self, batch: Sequence[Text]) -> dict[str, list[list[int]]]:
        """What the tokenizer makes of texts, by argument of the model; longer ones are cut."""
        names = [name for name in ("input_ids", "token_type_ids") if name in self.takes]

        def one(item: Text) -> Mapping[str, list[int]]:
            if item.tokens:
                return {"input_ids": list(item.tokens), "token_type_ids": [0] * len(item.tokens)}
            pair = [] if item.pair is None else [item.pair]
            return self.tokenizer(item.text, *pair, truncation=True, max_length=self.room)

        found = answered(
            lambda: [one(item) for item in batch],
            lambda what: ModelError(
                f"the tokenizer cannot read a text ({what}); check that it belongs to the model."
            ),
        )
        return {name: [list(each[name]) for each in found] for name in names if name in found[0]}

    def scores(
        self, overlay: Overlay, batch: Sequence[Text], points: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Outputs `[batch, outputs]`, and what the head reads `[batch, features]` if there is one.

        Args:
            overlay: laid over the network.
            batch: texts.
            points: stand for the embeddings of their tokens, padded on the right.
        """
        tokens = self.read(batch)
        lengths = torch.tensor([len(each) for each in tokens["input_ids"]], device=self.device)
        given = {name: self.padded(each, name) for name, each in tokens.items()}
        place = torch.arange(given["input_ids"].shape[1], device=self.device)
        given["attention_mask"] = (place[None] < lengths[:, None]).long()
        if points is not None:
            del given["input_ids"]
            given["inputs_embeds"] = points
        read: list[Tensor] = []
        handles = []
        if self.head:
            module = self.network.get_submodule(self.head)
            handles.append(module.register_forward_pre_hook(lambda m, i: read.append(i[0])))
        try:
            output = answered(
                lambda: functional_call(self.network, dict(overlay), (), given),
                lambda what: ModelError(
                    f"the model cannot read texts of {len(place)} tokens: its forward raised "
                    f"{what}; check that the tokenizer belongs to it."
                ),
            )
        finally:
            for handle in handles:
                handle.remove()
        features = read[0].detach().float() if read else None
        if features is not None and features.ndim == 3:  # decoders judge their last token
            features = features[torch.arange(len(features)), lengths - 1]
        return scores_of(output, len(batch)), features

    def padded(self, rows: Sequence[Sequence[int]], name: str = "input_ids") -> Tensor:
        """Rows int64 `[batch, width]`, filled up on the right."""
        filler = self.padding if name == "input_ids" else 0
        width = max(map(len, rows), default=0)
        filled = [list(each) + [filler] * (width - len(each)) for each in rows]
        return torch.tensor(filled, dtype=torch.int64, device=self.device)
