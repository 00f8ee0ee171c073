"""Every error this package raises on purpose; each message says what is wrong and what to do.

AnomechError                 exit code 2
├── ConfigError              a plan, option or command line that cannot be used
├── DataError                examples that cannot be read or do not fit the model
├── ModelError               a model that cannot be built, loaded or called
│   └── UnsafeCheckpoint     a checkpoint that wants to run code; `globals` names what it asks for
├── CapabilityError          a method needs something this task cannot give
├── RunError                 a run folder that cannot be written, read or resumed
└── Inconclusive             exit code 3: too little evidence for an answer; says how much is needed
"""

from typing import Any


class AnomechError(Exception):
    """Base of all errors of this package."""

    exit_code = 2


class ConfigError(AnomechError):
    """A plan, option or command line that cannot be used."""


class DataError(AnomechError):
    """Examples that cannot be read or do not fit the model."""


class ModelError(AnomechError):
    """A model that cannot be built, loaded or called."""


class UnsafeCheckpoint(ModelError):
    """A checkpoint that wants to run code when it is loaded.

    Attributes:
        globals: the names the file asks for, such as `posix.system`.
    """

    def __init__(self, message: str, names: tuple[str, ...]) -> None:
        super().__init__(message)
        self.globals = names

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker's errors are pickled, and would be made again from the message alone.
        return type(self), (str(self), self.globals), self.__dict__


class CapabilityError(AnomechError):
    """A method needs something this task cannot give."""


class RunError(AnomechError):
    """A run folder that cannot be written, read or resumed."""


class Inconclusive(AnomechError):
    """Too little evidence for an answer."""

    exit_code = 3
