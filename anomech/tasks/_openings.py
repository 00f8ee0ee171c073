"""Reading and changing what passes between the layers of a network, for one call at a time."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from anomech.kernel.errors import ConfigError


def openings(network: nn.Module) -> list[str]:
    """Names of the modules whose outputs can be read, in the order the network lists them.

    They are the innermost ones that own parameters: what they give is a unit's own activation.
    """
    return [
        name
        for name, module in network.named_modules()
        if name and list(module.parameters(recurse=False))
    ]


@contextmanager
def opened(network: nn.Module, changes: Mapping[str, Callable[[Tensor], Tensor]]) -> Iterator[None]:
    """Let functions see, and replace, what modules give; always taken out again.

    Raises:
        ConfigError: there is no such module.
    """

    def hook(change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
        return lambda module, inputs, output: change(output)

    modules = dict(network.named_modules())
    with ExitStack() as stack:
        for name, change in changes.items():
            if name not in modules:
                raise ConfigError(f"the model has no layer '{name}' to look into.")
            handle = modules[name].register_forward_hook(hook(change))
            stack.callback(handle.remove)
        yield
