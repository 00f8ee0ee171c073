"""Every error this package raises on purpose; each message says what is wrong and what to do.

AnomechError                 exit code 2
├── ConfigError              a plan, option or command line that cannot be used
├── DataError                examples that cannot be read or do not fit the model
├── ModelError               a model that cannot be built, loaded or called
│   └── UnsafeCheckpoint     a checkpoint that wants to run code; `globals` names what it asks for
├── CapabilityError          a method needs something this task cannot give
├── RunError                 a run folder that cannot be written, read or resumed
└── Inconclusive             exit code 3: too little evidence for an answer; says how much is needed

Whatever else is raised is a fault of this package and ends with exit code 4. Paths and values in
messages are strangers' words: `shortened` and `shown` keep them short, and every message is held
to `LONGEST` once more where it is made.
"""

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn, TypeVar

LONGEST = 1000
"""Characters of a message."""

LONGEST_WORD = 240
"""Characters without a space in a message, such as those of a path."""

Answer = TypeVar("Answer")


def shortened(text: object, most: int = LONGEST_WORD) -> str:
    """A text with at most about so many characters: its middle gives way to their number."""
    whole = str(text)
    if len(whole) <= most:
        return whole
    half = most // 2
    return f"{whole[:half]}[{len(whole) - 2 * half} characters]{whole[-half:]}"


def shown(value: object, most: int = 80) -> str:
    """A value as it would be written in Python, shortened."""
    try:
        return shortened(repr(value), most)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a number of thousands of digits"
    except RecursionError:
        return f"a {type(value).__name__} nested too deeply to be shown"


def said(error: BaseException) -> str:
    """What an exception says, as one line; its name where it says nothing."""
    return shortened(" ".join(str(error).split()) or "no message", 300)


class AnomechError(Exception):
    """Base of all errors of this package."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        words = (shortened(word) for word in message.split(" "))
        super().__init__(shortened(" ".join(words), LONGEST))


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


class Stopped(KeyboardInterrupt):
    """A real Ctrl-C, where `stop` answers it; code that is not ours raises only its base."""


def stop(number: int, frame: FrameType | None) -> NoReturn:
    """Answers the signal of Ctrl-C for a command, in place of Python's own handler."""
    raise Stopped


def answered(call: Callable[[], Answer], refusal: Callable[[str], AnomechError]) -> Answer:
    """What a call into code that is not ours returns.

    Such code may raise anything. `sys.exit(0)` in it would end the whole command as if all were
    well, so everything but Ctrl-C becomes an error of ours. A `KeyboardInterrupt` that it raises by
    itself can be told from Ctrl-C only where `stop` answers the signal; elsewhere it goes on.

    Args:
        call: runs it.
        refusal: makes the error from the name of the exception and what it says.
    """
    try:
        return call()
    except (AnomechError, Stopped):
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is not stop:
            raise
        raise refusal(f"{type(error).__name__}: {said(error)}") from error
