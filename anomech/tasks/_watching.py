"""Choosing which parameters move."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from torch import Tensor, nn

from anomech.kernel.errors import ConfigError


def watched_parameters(
    network: nn.Module, watch: str, last: Sequence[str] | None = None
) -> Mapping[str, Tensor]:
    """Floating-point parameters by name, in the order the network lists them.

    Args:
        network: the model.
        watch: "all"; "last" for the layer that gives the logits; or a glob of names.
        last: names of that layer's parameters; None if it is not known.

    Raises:
        ConfigError: nothing matches.
    """
    every = {n: p.detach() for n, p in network.named_parameters() if p.is_floating_point()}
    if watch == "all":
        chosen = every
    elif watch == "last":
        if last is None:
            raise ConfigError(
                "task.watch='last' asks for the layer that gives the logits, and no single layer "
                "of this model is known to; name its parameters by a glob, such as 'head.*'."
            )
        chosen = {n: p for n, p in every.items() if n in last}
    else:
        chosen = {n: p for n, p in every.items() if fnmatchcase(n, watch)}
    if not chosen:
        some = ", ".join(list(every)[:3])
        raise ConfigError(
            f"task.watch='{watch}' matches none of the model's {len(every)} parameters "
            f"(such as {some}); use all, last or a glob of their names."
        )
    return chosen


def watched_modules(network: nn.Module, watched: Mapping[str, Tensor]) -> dict[str, nn.Module]:
    """The network and modules that own a watched parameter themselves; tied ones all."""
    tensors = {tensor.data_ptr() for tensor in watched.values()}
    return {
        name: module
        for name, module in network.named_modules()
        if not name or any(p.data_ptr() in tensors for p in module.parameters(recurse=False))
    }
