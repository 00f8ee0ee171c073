"""How a command ends: every error on purpose is one sentence and an exit code."""

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from anomech.cli.console import PIPE_CLOSED, warn
from anomech.kernel.errors import AnomechError

INTERRUPTED = 130
BAD_INPUT = 2


class GuardedGroup(TyperGroup):
    """The commands, with one place that answers their errors."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with _answered(debug=bool(ctx.params.get("debug"))):
            return super().invoke(ctx)


@contextmanager
def _answered(*, debug: bool) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _trace(debug)
        warn("run the same command again to continue.", label="interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except AnomechError as error:
        _trace(debug)
        warn(str(error), label="error")
        raise typer.Exit(error.exit_code) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(PIPE_CLOSED) from None
    except OSError as error:
        _trace(debug)
        warn(_sentence(error), label="error")
        raise typer.Exit(BAD_INPUT) from None


def _sentence(error: OSError) -> str:
    """What the system refused, and what to do."""
    what = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"{what}the disk is full; free some space, then run the same command again: finished "
            "work is kept."
        )
    reason = (error.strerror or type(error).__name__).lower()
    return f"{what}{reason}; check the path and its permissions, then run the command again."


def _trace(debug: bool) -> None:
    if debug:
        traceback.print_exc()
