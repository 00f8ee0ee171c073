"""Choosing which parameters move."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from torch import Tensor, nn

from anomech.kernel.errors import ConfigError


def watched_parameters(network: nn.Module, watch: str) -> Mapping[str, Tensor]:
    """Floating-point parameters by name, in the order the network lists them.

    Args:
        network: the model.
        watch: "all"; "last" for the last module that owns a matrix; or a glob of names.

    Raises:
        ConfigError: nothing matches.
    """
    every = {n: p.detach() for n, p in network.named_parameters() if p.is_floating_point()}
    if watch == "all":
        chosen = every
    elif watch == "last":
        matrices = [name for name, tensor in every.items() if tensor.ndim >= 2]
        owner = matrices[-1].rpartition(".")[0] if matrices else ""
        chosen = {n: p for n, p in every.items() if n.rpartition(".")[0] == owner}
    else:
        chosen = {n: p for n, p in every.items() if fnmatchcase(n, watch)}
    if not chosen:
        some = ", ".join(list(every)[:3])
        raise ConfigError(
            f"task.watch='{watch}' matches none of the model's {len(every)} parameters "
            f"(such as {some}); use all, last or a glob of their names."
        )
    return chosen
