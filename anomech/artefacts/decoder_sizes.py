"""How large a decoder is, from its configuration alone; no weights are needed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from anomech.kernel.errors import ModelError

PLAIN = ("gpt2", "gpt_neo", "gpt_neox", "gptj", "opt", "bloom", "falcon", "phi", "gpt_bigcode")
"""Kinds whose feed-forward part has two matrices; others have a gate beside them."""


@dataclass(frozen=True)
class DecoderSizes:
    """The sizes that decide what a decoder costs.

    Attributes:
        layers: blocks.
        width: of the residual stream.
        inner: of the feed-forward part.
        heads: of attention.
        shared: heads of keys and values.
        head: numbers of a head.
        vocabulary: tokens.
        tied: whether the embeddings give the logits too.
        gated: whether the feed-forward part has a gate.
        experts: feed-forward parts of a block.
        active: of which so many read each token.
    """

    layers: int
    width: int
    inner: int
    heads: int
    shared: int
    head: int
    vocabulary: int
    tied: bool = False
    gated: bool = True
    experts: int = 1
    active: int = 1

    @property
    def attention(self) -> int:
        """Numbers in the matrices of attention of one block."""
        return self.width * self.head * (2 * self.heads + 2 * self.shared)

    @property
    def part(self) -> int:
        """Numbers in the matrices of one feed-forward part."""
        return self.width * self.inner * (3 if self.gated else 2)

    @property
    def matrices(self) -> int:
        """Numbers in the matrices of all blocks."""
        return self.layers * (self.attention + self.experts * self.part)

    @property
    def read(self) -> int:
        """Of those, the numbers that one token is multiplied by."""
        return self.layers * (self.attention + self.active * self.part)

    @property
    def parameters(self) -> int:
        """All numbers, up to those of norms and biases."""
        return self.matrices + self.vocabulary * self.width * (1 if self.tied else 2)

    @property
    def kept(self) -> int:
        """Numbers that the cache of a generation keeps of each token."""
        return 2 * self.layers * self.shared * self.head


def decoder_sizes(config: Mapping[str, Any]) -> DecoderSizes:
    """The sizes that a `config.json` says.

    Raises:
        ModelError: it does not say them, or says what no decoder has.
    """

    def number(*names: str, usual: int | None = None) -> int:
        for name in names:
            found = config.get(name)
            if isinstance(found, int) and not isinstance(found, bool) and 0 < found < 2**31:
                return found
        if usual is None:
            raise ModelError(
                f"the configuration says no {names[0]}, so the model's size is not known; give the "
                "config.json of a causal language model."
            )
        return usual

    width = number("hidden_size", "n_embd", "d_model")
    heads = number("num_attention_heads", "n_head", "n_heads")
    kind = str(config.get("model_type", ""))
    return DecoderSizes(
        layers=number("num_hidden_layers", "n_layer", "n_layers"),
        width=width,
        inner=number("intermediate_size", "n_inner", "ffn_dim", usual=4 * width),
        heads=heads,
        shared=number("num_key_value_heads", usual=heads),
        head=number("head_dim", usual=max(1, width // heads)),
        vocabulary=number("vocab_size"),
        tied=bool(config.get("tie_word_embeddings", kind == "gpt2")),
        gated=kind not in PLAIN,
        experts=number("num_local_experts", "num_experts", usual=1),
        active=number("num_experts_per_tok", usual=1),
    )
