"""Groups of options that several commands share: one frozen dataclass stands for its fields.

A command takes a group as one parameter, and its help shows each of the group's options:

    @grouped
    def audit(network: Network, out: RunFolder = None) -> None: ...
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints

Command = Callable[..., None]


def grouped(command: Command) -> Command:
    """The command with every parameter that is a dataclass taken apart into options."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }
    flat = [
        option
        for name, parameter in signature.parameters.items()
        for option in (_options(groups[name]) if name in groups else [parameter])
    ]

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: cls(**{field.name: given.pop(field.name) for field in fields(cls)})
            for name, cls in groups.items()
        }
        command(**made, **given)

    # What typer reads a command's options from.
    by_name = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in flat]
    run.__signature__ = signature.replace(parameters=by_name)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in flat}
    return run


def _options(group: Any) -> list[inspect.Parameter]:
    """A group's fields as parameters."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
