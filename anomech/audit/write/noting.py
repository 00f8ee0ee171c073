"""How work on a folder ends is noted in it, whatever ends it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from anomech.kernel.errors import AnomechError, Inconclusive
from anomech.records import Status

Note = Callable[[Status, str], None]
"""Writes (status, why it is not complete) into the folder."""


@contextmanager
def noted(note: Note, resuming: str) -> Iterator[None]:
    """Note that work goes on, and how it ends if it ends early; the error goes on to the caller.

    Args:
        note: see `Note`; it is called with no reason while work goes on.
        resuming: what the same command does after an interruption, as a sentence part.
    """
    note("running", "")
    try:
        yield
    except KeyboardInterrupt:
        note("interrupted", f"Stopped by hand; the same command {resuming}.")
        raise
    except Inconclusive as error:
        note("inconclusive", str(error))
        raise
    except AnomechError as error:
        note("failed", str(error))
        raise
    except BaseException as error:  # also what ends a program: the folder must not say "running"
        note("failed", f"It stopped with {type(error).__name__}.")
        raise
