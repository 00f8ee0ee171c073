"""How a command ends: whatever happens is one sentence and an exit code of its own.

0, 1 and 3 are answers, 2 is input that cannot be used, 130 is Ctrl-C. Everything else that ends a
command is `UNEXPECTED`, also `sys.exit(0)` in a stranger's code: no code says that all is well but
the command's own.
"""

import errno
import platform
import signal
import tempfile
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from anomech.cli.console import PIPE_CLOSED, drop_output, warn
from anomech.kernel.errors import AnomechError, said, shortened, stop

INTERRUPTED = 130
BAD_INPUT = 2
UNEXPECTED = 4
"""Exit code of an error that this program did not expect."""

FOLDER = "anomech.folder"
"""Where a command notes its run folder in the context that all commands share."""

COMMAND_LINE: type[Exception] = next(
    cls for cls in typer.BadParameter.__mro__ if cls.__name__ == "ClickException"
)
"""Base of the command line's own errors; where it lives depends on the version of typer."""


class GuardedGroup(TyperGroup):
    """The commands, with one place that answers their errors."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        with _stopped_by_hand(), _answered(ctx):
            return super().invoke(ctx)


def keep_details_in(ctx: typer.Context, folder: Path) -> None:
    """Say which run folder the details of an unexpected error belong to, once it holds a run."""
    ctx.meta[FOLDER] = folder


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Let a command whose output nobody reads any more end with `PIPE_CLOSED` and no word.

    It is laid around all of the command line: help is written before a command is run, by a console
    that ends with 1, which would be a finding.
    """
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, BrokenPipeError):
            raise
        drop_output()
        raise SystemExit(PIPE_CLOSED) from None


@contextmanager
def _stopped_by_hand() -> Iterator[None]:
    """Let Ctrl-C be told from a `KeyboardInterrupt` of a stranger's code."""
    before = signal.getsignal(signal.SIGINT)
    mine = threading.current_thread() is threading.main_thread()
    if not mine or before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _answered(ctx: Any) -> Iterator[None]:
    debug = bool(ctx.params.get("debug"))
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
        drop_output()
        raise typer.Exit(PIPE_CLOSED) from None
    except OSError as error:
        _trace(debug)
        warn(_sentence(error), label="error")
        raise typer.Exit(BAD_INPUT) from None
    except (typer.Exit, typer.Abort, COMMAND_LINE):
        raise  # ends on purpose, and mistakes in the command line
    except BaseException as error:
        if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
            raise  # for `reader_may_leave`
        _trace(debug)
        warn(_surprise(error, ctx.meta.get(FOLDER)), label="error")
        raise typer.Exit(UNEXPECTED) from None


def _surprise(error: BaseException, folder: Path | None) -> str:
    """One sentence about an error that nobody foresaw, and where its details are."""
    what = f"{type(error).__name__}: {said(error)}"
    if isinstance(error, MemoryError):
        return "there is not enough memory; use a smaller --memory, --workers 0 or another machine."
    if isinstance(error, SystemExit):
        what = f"code of the model or of its data ended the program (SystemExit {said(error)})"
    place = _details(folder)
    where = "run again with --debug" if place is None else f"see {place}"
    return f"it stopped unexpectedly, {what}; for details {where}, and report it if it is a fault."


def _details(folder: Path | None) -> str | None:
    """Path of a file with the traceback of the error at hand; None if none can be written.

    It lies in the run folder if there is one, and otherwise among the system's temporary files.
    """
    text = f"anomech {version('anomech')}, Python {platform.python_version()}\n"
    text += traceback.format_exc()
    if folder is not None and (folder / "plan.yaml").is_file():
        from anomech.audit.write.place import ERROR
        from anomech.records import write_text

        with suppress(AnomechError):
            write_text(folder / ERROR, text)
            return str(folder / ERROR)
    with (
        suppress(OSError),
        tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            delete=False,
            prefix="anomech-error-",
            suffix=".txt",
        ) as file,
    ):
        file.write(text)
        return file.name
    return None


def _sentence(error: OSError) -> str:
    """What the system refused, and what to do."""
    what = f"{shortened(error.filename)}: " if error.filename else ""
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
