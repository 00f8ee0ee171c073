"""YAML from plans, suites and settings, read without trusting what it asks for.

Plain values alone are made. What could take for ever is refused before anything is built: a file
that refers to itself (`&a`, `*a`), one that nests deeply, and a very long one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from anomech.kernel.errors import ConfigError, said, shortened

LONGEST = 2**20
"""Characters."""

DEEPEST = 32
"""Lists and mappings inside each other."""


def read_yaml_file(path: Path, remedy: str) -> Any:
    """The value of a YAML file.

    Args:
        path: of the file.
        remedy: ends the sentence about a file that is not there.

    Raises:
        ConfigError: the file is missing or is no such YAML.
    """
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except UnicodeDecodeError:
        raise ConfigError(
            f"{shortened(path.name)} is not valid YAML (not UTF-8 text); save it as such."
        ) from None
    except (OSError, ValueError):
        raise ConfigError(remedy) from None
    return read_yaml(text, shortened(path.name))


def read_yaml(text: str, where: str) -> Any:
    """The value of a YAML text.

    Args:
        text: of one document.
        where: what it is called in messages.

    Raises:
        ConfigError: it is no YAML, refers to itself, or is too long or too deep.
    """
    if len(text) > LONGEST:
        raise ConfigError(f"{where} has more than {LONGEST} characters; shorten it.")
    try:
        _check_form(text, where)
        return yaml.safe_load(text)
    except ConfigError:
        raise
    except yaml.YAMLError as error:
        first = shortened(str(error).splitlines()[0], 200)
        raise ConfigError(f"{where} is not valid YAML ({first}); correct it.") from None
    except Exception as error:  # numbers and dates that Python cannot hold
        raise ConfigError(
            f"{where} holds a value that cannot be read ({said(error)}); correct it."
        ) from None


def write_yaml(values: Mapping[str, Any]) -> str:
    """Plain values as YAML that `read_yaml` gives back, in their order."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)


def _check_form(text: str, where: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(f"{where} refers to parts of itself (& or *); write them out.")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigError(f"{where} nests more than {DEEPEST} deep; it cannot be meant.")
