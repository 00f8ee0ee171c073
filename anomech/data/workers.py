"""Worker processes that read files ahead, in order.

Processes, because decoding many small pictures hardly leaves the interpreter: on 32x32 PNG files
four threads gave 1.1 times the speed of one.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from anomech.kernel.errors import DataError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def in_order(
    function: Callable[[Piece], Result], pieces: Iterable[Piece], workers: int, ahead: int
) -> Iterator[Result]:
    """`function` of every piece, in their order, whatever the number of workers.

    Args:
        function: at the top level of a module that loads no torch; workers start in no time then.
        pieces: taken as they are needed.
        workers: processes; 0 works here, one piece at a time.
        ahead: pieces in the hands of workers or done and waiting, at most.

    Raises:
        DataError: a worker ended without an answer.
    """
    if not workers:
        yield from map(function, pieces)
        return
    pool = ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_prepare
    )
    waiting: deque[Future[Result]] = deque()
    try:
        for piece in pieces:
            waiting.append(pool.submit(function, piece))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise DataError(
            "a process that reads image files ended without an answer (it may have run out of "
            "memory, or a file made a decoder crash); run again with --workers 0 to read in the "
            "main process."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _prepare() -> None:
    # The main process answers Ctrl-C and ends its workers in good order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed main process cannot end its workers, so they watch it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
