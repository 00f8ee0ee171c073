"""The anatomy of a decoder: its blocks, their attention and the rest, and the matrices in them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from anomech.kernel.errors import ConfigError, ModelError

MATRICES = ("Linear", "Conv1D")
"""Kinds of module that multiply by a matrix; the second is GPT-2's."""

EMBEDDING, NORM = "embedding", "norm"


@dataclass(frozen=True)
class Block:
    """One block of a decoder, by names of modules.

    Attributes:
        name: the block.
        attention: its attention.
        mixing: the matrix in it that mixes what the heads give.
        rest: its feed-forward part, or mixture of such parts.
    """

    name: str
    attention: str
    mixing: str
    rest: str


def blocks_of(network: nn.Module) -> list[Block]:
    """The blocks of a decoder in order.

    Raises:
        ModelError: it has none that are known by their form.
    """
    stacks = {name: m for name, m in network.named_modules() if isinstance(m, nn.ModuleList)}
    name = max(stacks, key=lambda each: _size(stacks[each]), default="")
    found = [_block(f"{name}.{i}", block) for i, block in enumerate(stacks.get(name, ()))]
    if not found or any(each is None for each in found):
        raise ModelError(
            "the model's blocks are of an unknown form (no list of modules that each hold "
            "attention); only decoders of the transformers library can be audited as causal_lm."
        )
    return [each for each in found if each is not None]


def matrices_in(network: nn.Module, prefix: str) -> list[str]:
    """Names of the modules within a module, or itself, that multiply by a matrix."""
    return [
        name
        for name, module in network.named_modules()
        if (not prefix or name == prefix or name.startswith(f"{prefix}."))
        and type(module).__name__ in MATRICES
    ]


def _block(name: str, block: nn.Module) -> Block | None:
    full = [child for child, module in block.named_children() if matrices_in(module, "")]
    attention = next((each for each in full if "attn" in each or "attention" in each), None)
    others = [each for each in full if each != attention]
    if attention is None or not others:
        return None
    inside = matrices_in(block, attention)
    # An adapter's factors are inside of the matrix that they adapt.
    outer = [each for each in inside if not any(each.startswith(f"{m}.") for m in inside)]
    return Block(name, f"{name}.{attention}", f"{name}.{outer[-1]}", f"{name}.{others[0]}")


def _size(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


@dataclass(frozen=True)
class Point:
    """A place where an activation passes.

    Attributes:
        module: whose call it is.
        side: whether it goes in or comes out.
    """

    module: str
    side: Literal["in", "out"]


def points_of(
    network: nn.Module, blocks: list[Block], embedding: str, head: str
) -> dict[str, Point]:
    """Places by name, in the order of the forward pass.

    The residual stream is "embedding", then "block.N"; within a block "block.N.heads" is what its
    heads give before they are mixed, "block.N.attention" and "block.N.mlp" what is added to the
    stream; "norm" is what the layer reads that gives the logits.
    """
    found = {EMBEDDING: Point(embedding, "out")}
    for number, block in enumerate(blocks):
        found[f"block.{number}.heads"] = Point(block.mixing, "in")
        found[f"block.{number}.attention"] = Point(block.attention, "out")
        found[f"block.{number}.mlp"] = Point(block.rest, "out")
        found[f"block.{number}"] = Point(block.name, "out")
    found[NORM] = Point(head, "in")
    return found


@contextmanager
def opened(
    network: nn.Module,
    points: Mapping[str, Point],
    changes: Mapping[str, Callable[[Tensor], Tensor]],
) -> Iterator[None]:
    """Let functions see, and replace, what passes at places; always taken out again.

    Raises:
        ConfigError: there is no such place.
    """
    with ExitStack() as stack:
        for name, change in changes.items():
            if name not in points:
                raise ConfigError(f"the model has no place '{name}' to look into.")
            module = network.get_submodule(points[name].module)
            if points[name].side == "in":
                handle = module.register_forward_pre_hook(_before(change))
            else:
                handle = module.register_forward_hook(_after(change))
            stack.callback(handle.remove)
        yield


def _before(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    return lambda module, inputs: (change(inputs[0]), *inputs[1:])


def _after(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        if isinstance(output, Tensor):
            return change(output)
        return type(output)((change(output[0]), *output[1:]))

    return hook
