"""Which cells of a bench are asked for: globs over their names."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from anomech.kernel.errors import ConfigError


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The names that match one of the patterns; all of them if there is none.

    Raises:
        ConfigError: a pattern matches no name.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"no cell matches '{pattern}'; the first is called '{names[0]}', and * stands for "
                "anything."
            )
    if not patterns:
        return list(names)
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]
