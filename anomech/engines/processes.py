"""Processes: workers on this machine, each on one thread.

Belief: chunks of inputs are judged independently, so as many go at once as there are cores.
Needs: nothing but memory; a script must make its calls under `if __name__ == "__main__":`, because
every worker imports it.
Cost: some seconds to start, and in each worker a copy of what all pieces share. A piece goes to a
worker as soon as it is idle and results are asked for; those that come too early wait in memory,
a bounded number of them.
Fails when: memory is short. A worker that is killed is replaced and its piece tried again, up to
`retries` times.
Numbers are those of the serial engine on one thread to the last bit.
"""

import signal
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from anomech.engines._parcels import (
    Job,
    attempt,
    one_thread,
    opened,
    pack,
    pack_job,
    unpack,
    usable_cores,
)
from anomech.kernel.config import option, options
from anomech.kernel.errors import RunError

PATIENCE = 5.0
"""Seconds that a worker whose line is dead has for ending by itself."""


@options
class Processes:
    """Worker processes on this machine."""

    workers: int = option(0, "worker processes; 0 is one a usable core", ge=0, le=1024)
    ahead: int = option(2, "pieces taken at once for each worker", unit="pieces", ge=1, le=1024)
    retries: int = option(2, "times a piece is tried again after its worker died", ge=0, le=1024)

    def map(
        self, function: Callable[[Any, Any], Any], shared: Any, pieces: Iterable[Any]
    ) -> Iterator[Any]:
        """See `anomech.kernel.types.Engine.map`; workers end with the iterator.

        Raises:
            ConfigError: the function, or what is shared, cannot be pickled.
            RunError: workers die again and again.
        """
        workers = self.workers or usable_cores()
        job = pack_job(function, shared)
        return _results(_Crew(job, workers, self.retries), pieces, workers * self.ahead)


def _results(crew: "_Crew", pieces: Iterable[Any], window: int) -> Iterator[Any]:
    """Results in order, with at most `window` pieces taken whose results are not given yet."""
    source = iter(pieces)
    given = taken = 0
    try:
        while True:
            for piece in islice(source, window - (taken - given)):
                crew.waiting.append((taken, pack(piece, "a piece of work")))
                taken += 1
            if given == taken:
                return
            # Also with a result at hand: whoever is idle gets work before the caller does its own.
            crew.turn(wait=given not in crew.done)
            if given in crew.done:
                outcome = crew.done.pop(given)
                given += 1
                yield opened(outcome)
    finally:
        crew.end()


@dataclass(eq=False)
class _Worker:
    """A process and the line to it; `piece` is what it works on."""

    process: BaseProcess
    line: Connection
    ready: bool = False
    piece: tuple[int, bytes] | None = None


@dataclass
class _Crew:
    """Workers, the numbered pieces that wait for one, and what has been done.

    Lines instead of queues: they have no lock that a killed worker could take with it, and they
    say who died.
    """

    job: bytes
    size: int
    retries: int
    workers: list[_Worker] = field(default_factory=list)
    waiting: deque[tuple[int, bytes]] = field(default_factory=deque)
    done: dict[int, bytes] = field(default_factory=dict)
    deaths: Counter[int | None] = field(default_factory=Counter)

    def turn(self, *, wait: bool) -> None:
        """Give work to all who are idle and hear all who have something to say."""
        idle = [worker for worker in self.workers if worker.ready and worker.piece is None]
        for worker in idle:
            self._give(worker)
        while len(self.workers) < min(self.size, len(self.waiting) + self._busy()):
            self.workers.append(_started())
        lines = {worker.line: worker for worker in self.workers}
        for line in connection.wait(list(lines), None if wait else 0):
            self._hear(lines[line])  # type: ignore[index]

    def end(self) -> None:
        """End all workers at once."""
        for worker in self.workers:
            worker.process.kill()
        for worker in self.workers:
            worker.process.join()
            worker.line.close()
        self.workers.clear()

    def _busy(self) -> int:
        return sum(worker.piece is not None for worker in self.workers)

    def _hear(self, worker: _Worker) -> None:
        try:
            message = worker.line.recv_bytes()
            if not worker.ready:
                worker.line.send_bytes(self.job)
                worker.ready = True
        except (EOFError, OSError):
            self._bury(worker)
            return
        if worker.piece is not None:
            self.done[worker.piece[0]] = message
            worker.piece = None
        self._give(worker)

    def _give(self, worker: _Worker) -> None:
        if self.waiting:
            worker.piece = self.waiting.popleft()
            try:
                worker.line.send_bytes(worker.piece[1])
            except OSError:
                self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """Take a dead worker off the crew and its piece back; another one starts when needed."""
        self.workers.remove(worker)
        worker.line.close()
        worker.process.join(PATIENCE)
        worker.process.kill()
        worker.process.join()
        piece = None if worker.piece is None else worker.piece[0]
        if piece is not None or not worker.ready:  # an idle worker takes nothing with it
            self.deaths[piece] += 1
        if self.deaths[piece] > self.retries:
            raise RunError(_told(worker, self.deaths[piece]))
        if worker.piece is not None:
            self.waiting.appendleft(worker.piece)


def _told(worker: _Worker, deaths: int) -> str:
    code = worker.process.exitcode or 0
    how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    times = "once" if deaths == 1 else f"{deaths} times"
    if not worker.ready:
        return (
            f"a worker process died {times} while it started ({how}); a script that uses the "
            'processes engine must make its calls under `if __name__ == "__main__":`.'
        )
    return (
        f"a worker process died {times} at the same piece of work ({how}); if memory is short, use "
        "fewer workers or smaller pieces."
    )


def _started() -> _Worker:
    """A new process, which will say that it is ready.

    A fresh interpreter rather than a fork: a forked one inherits threads of torch half-dead.
    """
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    # Ctrl-C in a terminal reaches every process of the group, but is for the parent to answer:
    # it is blocked while the worker starts and therefore in the worker. Starting the tracker, the
    # first time, would unblock it.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
        there.close()
        return _Worker(process, here)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(line: Connection) -> None:
    """What a worker does until its line ends."""
    one_thread()
    with suppress(EOFError, OSError):  # the parent is gone
        line.send_bytes(b"ready")
        packed = [line.recv_bytes()]

        @cache
        def job() -> Job:
            return unpack(packed.pop())  # not held in both forms

        while True:
            line.send_bytes(attempt(job, line.recv_bytes()))
