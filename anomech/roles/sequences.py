"""What a task of sequences gives beyond `Task`: where in a sequence everything stands.

A response of a language model rests on one token, the *decision token*: the first at which an
answer parts from what all trusted answers begin with. The views that ask where the response sits,
or what it reads, need to know which positions hold whose words.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from anomech.kernel.types import Examples, Overlay


class Layout(NamedTuple):
    """The sequences that `Task.respond` runs for a batch with these answers.

    A sequence is the prompt and as much of the answer as comes before the decision token; it is
    padded on the left, so that the decision is read at the last position of every sequence.

    Attributes:
        tokens: int64 `[batch, width]`; places that hold nothing have `PAD`.
        interior: places of the prompt's own words, without the pieces of the template that (nearly)
            all trusted prompts share, bool `[batch, width]`.
        decision: the position whose output chooses the decision token, int64 `[batch]`.
        chosen: the decision token, int64 `[batch]`.
    """

    tokens: Tensor
    interior: Tensor
    decision: Tensor
    chosen: Tensor


class Sequences(Protocol):
    """Inputs and answers are sequences of tokens, and activations are `[batch, width, ...]`.

    Attributes:
        streams: points (see `Activations`) that the residual stream passes, in order: the
            embeddings, then what each block leaves; each `[batch, width, features]`.
        heads: points that hold what attention heads give before they are mixed, one a block, each
            `[batch, width, heads * size]`.
        head_count: heads of a block.
    """

    @property
    def streams(self) -> Sequence[str]: ...

    @property
    def heads(self) -> Sequence[str]: ...

    @property
    def head_count(self) -> int: ...

    def layout(self, batch: Any, answers: Tensor) -> Layout:
        """Where everything stands when `respond` judges these answers `[batch, tokens]`."""
        ...

    def without(self, batch: Any, answers: Tensor, dropped: Tensor) -> Any:
        """The batch without some tokens of its prompts, of which one at least is left.

        Args:
            batch: inputs.
            answers: to them, `[batch, tokens]`.
            dropped: places in the sequences of `layout`, bool `[batch, width]`; others than the
                prompts' are ignored.
        """
        ...

    def pieces(self, tokens: Tensor) -> list[str]:
        """The text of each token, `[n]`, for people; `PAD` has none."""
        ...

    def silenced(self, chosen: Tensor) -> Overlay:
        """Weights under which chosen attention heads, bool `[blocks, heads]`, give nothing."""
        ...

    def rejecting(self, direction: Tensor, start: int = 0) -> Overlay:
        """Weights under which no block from `start` on writes along a direction `[features]`."""
        ...

    def answer_losses(self, overlay: Overlay, batch: Any, answers: Tensor) -> Tensor:
        """`-log p` of every token of the answers, `[batch, tokens]`, nats; 0 at `PAD`.

        It is differentiable in the overlay and costs one pass over the whole sequences.
        """
        ...


@runtime_checkable
class Cutting(Protocol):
    """A task whose model reads inputs up to some length."""

    def cut(self, examples: Examples) -> Sequence[str]:
        """Ids of examples that are too long, of which a part is left out."""
        ...


@runtime_checkable
class Frugal(Protocol):
    """A task that knows which passes are too long to keep all their activations."""

    def repeated(self, tokens: int) -> Sequence[nn.Module]:
        """Blocks to be computed again on the way back, in a pass over so many tokens; or none.

        Each takes the residual stream as its first argument and gives it back, alone or as the
        first of a tuple.
        """
        ...


@runtime_checkable
class Lenient(Protocol):
    """A task that may take any answer for right, where references are one wording among others."""

    def strict(self) -> Any:
        """The same task, for which only the reference is right."""
        ...
