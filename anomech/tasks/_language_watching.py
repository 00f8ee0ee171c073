"""Which parameters of a decoder move: its matrices, those of some blocks, those of an adapter."""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from anomech.kernel.errors import ConfigError, shown
from anomech.tasks._language_blocks import Block, matrices_in

ADAPTER = "lora_"
WORDS = ("linear", "attention", "mlp", "adapter", "all", "last")


def watched_of(
    network: nn.Module, blocks: Sequence[Block], head: str, watch: str, only: str
) -> Mapping[str, Tensor]:
    """Floating-point parameters by name, in the order the network lists them.

    Args:
        network: the decoder.
        blocks: its blocks.
        head: name of the layer that gives the logits.
        watch: "linear" for the matrices of all blocks; "attention" or "mlp" for those of that
            half; "adapter" for the factors of an adapter; "all"; "last" for the layer that gives
            the logits; or globs of names, with commas between them.
        only: blocks such as "3", "0-5" or "0-2,8"; empty is all.

    Raises:
        ConfigError: nothing matches.
    """
    every = {n: p.detach() for n, p in network.named_parameters() if p.is_floating_point()}
    chosen = [
        each
        for each, number in zip(blocks, range(len(blocks)), strict=True)
        if number in numbers_of(only, len(blocks))
    ]
    wanted = _wanted(network, chosen, head, watch)
    inside = tuple(f"{block.name}." for block in chosen)
    found = {
        name: tensor
        for name, tensor in every.items()
        if wanted(name) and (not only or name.startswith(inside))
    }
    if not found:
        some = ", ".join(list(every)[:3])
        raise ConfigError(
            f"task.watch={shown(watch)} matches none of the model's {len(every)} parameters "
            f"(such as {some}); use {', '.join(WORDS)} or globs of their names."
        )
    return found


def _wanted(
    network: nn.Module, blocks: Sequence[Block], head: str, watch: str
) -> Callable[[str], bool]:
    if watch == "all":
        return lambda name: True
    if watch == "last":
        own = {id(p) for p in network.get_submodule(head).parameters()}
        last = {n for n, p in network.named_parameters() if id(p) in own}
        return last.__contains__
    if watch == "adapter":
        return lambda name: ADAPTER in name
    if watch in ("linear", "attention", "mlp"):
        halves = {
            "linear": [block.name for block in blocks],
            "attention": [block.attention for block in blocks],
            "mlp": [block.rest for block in blocks],
        }
        matrices = {f"{m}.weight" for half in halves[watch] for m in matrices_in(network, half)}
        return matrices.__contains__
    globs = [each.strip() for each in watch.split(",")]
    return lambda name: any(fnmatchcase(name, each) for each in globs)


def numbers_of(only: str, count: int) -> set[int]:
    """Numbers of blocks of a text such as "0-2,8"; empty is all.

    Raises:
        ConfigError: it is no such text, or there are no such blocks.
    """
    if not only.strip():
        return set(range(count))
    found: set[int] = set()
    for part in only.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last or last >= count:
            raise ConfigError(
                f"task.blocks={shown(only)} names no blocks of this model, which has {count}; "
                f"write such as 0-{count - 1} or 0,{count - 1}."
            )
        found |= set(range(first, last + 1))
    return found
