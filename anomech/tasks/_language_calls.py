"""Calls into a decoder: one pass over padded rows, and greedy answers with its cache."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from anomech.kernel.errors import ModelError, answered
from anomech.kernel.types import PAD, Overlay
from anomech.tasks._language_rows import Rows


@dataclass(frozen=True, eq=False)
class Decoder:
    """A causal language model of the transformers library, as it is called.

    Attributes:
        network: in evaluation mode.
    """

    network: nn.Module

    @cached_property
    def takes(self) -> Mapping[str, Any]:
        """Arguments of its forward."""
        return inspect.signature(self.network.forward).parameters

    def logits(
        self, overlay: Overlay, rows: Rows, kept: int, points: Tensor | None = None
    ) -> Tensor:
        """Scores of the next token at the last `kept` positions, float32 `[batch, kept, tokens]`.

        Args:
            overlay: laid over the tensors of the network.
            rows: sequences.
            kept: positions.
            points: stand for the embeddings of the tokens, `[batch, width, features]`.
        """
        output = self._call(overlay, rows.ids, rows.mask, rows.positions, kept, points, {})
        return self._scores(output, kept)

    @torch.no_grad()
    def answers(
        self,
        overlay: Overlay,
        rows: Rows,
        most: int,
        ends: Sequence[int],
        points: Tensor | None = None,
    ) -> Tensor:
        """Greedy answers int64 `[batch, tokens]`, the token that ends them included.

        Args:
            overlay: laid over the tensors of the network.
            rows: the prompts.
            most: tokens of an answer.
            ends: tokens that end one.
            points: stand for the embeddings of the prompts.
        """
        stops = torch.tensor(ends, dtype=torch.int64, device=rows.tokens.device)
        ended = torch.zeros(len(rows.tokens), dtype=torch.bool, device=rows.tokens.device)
        mask, position = rows.mask, rows.positions[:, -1:]
        cached = {"use_cache": True} if "use_cache" in self.takes else {}
        output = self._call(overlay, rows.ids, mask, rows.positions, 1, points, cached)
        said: list[Tensor] = []
        while True:
            token = self._scores(output, 1)[:, -1].argmax(dim=1)
            said.append(token.masked_fill(ended, PAD))
            ended = ended | torch.isin(token, stops)
            if len(said) == most or bool(ended.all()):
                return torch.stack(said, dim=1)
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            position = position + 1
            output = self._next(overlay, rows, said, mask, position, points, output)

    def _next(
        self,
        overlay: Overlay,
        rows: Rows,
        said: list[Tensor],
        mask: Tensor,
        position: Tensor,
        points: Tensor | None,
        before: Any,
    ) -> Any:
        """The pass that gives one more token, by the cache of the pass before if there is one."""
        held = {
            name: cache
            for name in ("cache", "past_key_values")
            if name in self.takes and (cache := _cache_of(before)) is not None
        }
        newest = said[-1].clamp_min(0)[:, None]
        if held:
            name, cache = next(iter(held.items()))
            extra = {name: cache, "use_cache": True}
            return self._call(overlay, newest, mask, position, 1, None, extra)
        whole = Rows(torch.cat([rows.ids, *(t.clamp_min(0)[:, None] for t in said)], dim=1), mask)
        if points is not None:
            table = self.network.get_input_embeddings()  # type: ignore[operator]
            points = torch.cat([points, table(whole.tokens[:, points.shape[1] :])], dim=1)
        return self._call(overlay, whole.ids, mask, whole.positions, 1, points, {})

    def _call(
        self,
        overlay: Overlay,
        ids: Tensor,
        mask: Tensor,
        positions: Tensor,
        kept: int,
        points: Tensor | None,
        extra: Mapping[str, Any],
    ) -> Any:
        given: dict[str, Any] = {"attention_mask": mask.long(), **extra}
        given |= {"input_ids": ids} if points is None else {"inputs_embeds": points}
        if "position_ids" in self.takes:
            given["position_ids"] = positions
        if "logits_to_keep" in self.takes:
            given["logits_to_keep"] = kept
        if "use_cache" in self.takes and "use_cache" not in given:
            given["use_cache"] = False

        def run() -> Any:
            if not overlay:
                return self.network(**given)
            return functional_call(self.network, dict(overlay), (), given)

        return answered(
            run,
            lambda what: ModelError(
                f"the model cannot read sequences of {ids.shape[1]} tokens: its forward raised "
                f"{what}; check that the tokenizer belongs to it."
            ),
        )

    def _scores(self, output: Any, kept: int) -> Tensor:
        scores = getattr(output, "logits", output)
        if not isinstance(scores, Tensor) or scores.ndim != 3:
            raise ModelError(
                "the model gives no scores of the next token [batch, tokens, vocabulary]; give a "
                "causal language model of the transformers library."
            )
        return scores[:, -kept:].float()


def _cache_of(output: Any) -> Any:
    for name in ("cache", "past_key_values"):
        if (found := getattr(output, name, None)) is not None:
            return found
    return None
